"""A measure against something that was swept."""
