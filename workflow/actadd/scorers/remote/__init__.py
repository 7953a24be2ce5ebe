"""Scorers that ask a server."""
