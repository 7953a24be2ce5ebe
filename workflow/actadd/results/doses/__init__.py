"""Effect and damage by dose, layer by layer: where an effect sets in, and where a model collapses."""
