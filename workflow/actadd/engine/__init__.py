"""One model in memory: text to tokens, additions to the residual stream, prefill and decode."""
