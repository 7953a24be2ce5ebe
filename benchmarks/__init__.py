"""Benchmarks of the pipeline's speed against alternatives: `make bench`."""
