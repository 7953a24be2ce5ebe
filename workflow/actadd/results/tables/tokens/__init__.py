"""Next-token distributions and single tokens."""
