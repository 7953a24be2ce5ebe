"""Checkpoints on disk: checked, prepared, loaded, verified; and how many rows fit in memory."""
