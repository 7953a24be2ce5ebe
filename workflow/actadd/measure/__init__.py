"""What is measured of a condition: completions, log-probabilities, divergence, choices, time."""
