"""The one exception for what a user can put right."""


class UserError(Exception):
    """A mistake in a config, a file or the environment.

    The message names the config key or the file, the value found, and what to write instead; the
    programs print it alone, without a traceback.
    """


class CellError(UserError):
    """One cell cannot be computed; the others of its job may well be."""
