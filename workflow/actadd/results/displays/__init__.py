"""Figures and tables of the config: declarations of kinds, what they read, words of captions."""
