"""Sizes of tiny random encoders and classifiers."""

WIDTH, CONTEXT = 16, 64
SMALL = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": WIDTH,
    "initializer_range": 0.3,
}
