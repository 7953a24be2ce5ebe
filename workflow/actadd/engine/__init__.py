"""One model in memory: text to tokens, additions to the residual stream, prefill and decode.

tokens.py reads text, steering.py adds by the hooks of hooks.py, operations/ say what is added,
decoding/ draws tokens.
"""
