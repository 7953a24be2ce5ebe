"""Checkpoints on disk: checked, prepared, loaded, verified; and batch rows that fit in memory."""
