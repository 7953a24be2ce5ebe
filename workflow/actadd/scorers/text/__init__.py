"""Scorers that read nothing but the text."""
