"""The reliability card: what may be said of one vector at one setting, and what was not measured.

A card is a function of tables: `card.py` says what it holds, `evidence.py` what it is made from,
`effects.py`, `directions.py` and `claims.py` how, and `gather.py` makes those of an experiment.
"""
