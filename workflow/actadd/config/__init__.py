"""The config: read, checked, completed with defaults, before anything runs."""
