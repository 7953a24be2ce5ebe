"""Scorers: what measures completions. A kind is one file in `text`, `models` or `remote`."""
