"""The config: read, checked, completed with defaults, before anything runs.

Keys and defaults are declared in sections/, or by the kind that has them, in its own file.
"""
