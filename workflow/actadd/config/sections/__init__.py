"""Sections of the config: their keys as dataclasses of options, and checks of their entries."""
