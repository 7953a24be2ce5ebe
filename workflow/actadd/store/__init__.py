"""State that persists between runs: finished cells, failed cells, provenance, digests of code."""
