"""Scorers that run a model on this machine: a fitted, fetched or prepared one."""
