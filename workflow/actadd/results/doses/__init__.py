"""Effect and damage by dose at each layer: where an effect sets in, where a model collapses."""
