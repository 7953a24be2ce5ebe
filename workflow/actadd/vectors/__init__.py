"""Steering vectors: cached activations, derivation, logit lens, files of other programs."""
