"""What is kept between runs: finished cells, failed cells, provenance, digests of code."""
