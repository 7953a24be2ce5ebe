"""What the pipeline's speed is, against named alternatives: `make bench`."""
