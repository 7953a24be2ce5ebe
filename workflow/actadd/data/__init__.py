"""Texts: fetched, read in every format, cut into sentences, split, compared with each other."""
