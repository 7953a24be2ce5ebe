"""Whether a model is steered right: checked on its own weights, with a handful of short prompts."""
