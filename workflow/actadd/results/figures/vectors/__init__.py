"""The vectors themselves: norms, what they read as, how alike they are."""
