"""Activation addition (Turner et al., arXiv 2308.10248) on any Hugging Face causal language model.

Vocabulary, used throughout:

resid_pre    the residual stream at the *input* of a block; "layer l" always means block l's input,
             0-indexed, so layer 0 is the sum of the embeddings.
prefill      the forward pass that reads the prompt.
decode       every later forward pass, one new token each.
vector       a steering vector: one row of d_model numbers for each of one or more positions.
addition     a vector, scaled by a coefficient, added to resid_pre at one layer.
condition    a method with its additions; a *cell* is one condition on all prompts and samples.
"""
