"""What is not of one experiment: timings, published numbers beside ours."""
