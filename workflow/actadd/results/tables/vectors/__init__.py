"""The vectors themselves: what they do, what they read as."""
