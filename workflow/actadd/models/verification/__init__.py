"""Verification that a model is steered correctly, on its own weights with a few short prompts."""
