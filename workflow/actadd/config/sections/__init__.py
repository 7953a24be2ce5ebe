"""Sections of the config: the keys of each as dataclasses of options, and what must hold of them."""
