"""Programs for developers, and what tests run in another process."""
