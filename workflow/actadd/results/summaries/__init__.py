"""Summaries: one row for each condition, group and metric, with intervals and paired differences.

The draws of a random vector are one control with one row: its mean over draws and prompts, whose
interval and test treat both as random effects, see `intervals.crossed`. Only then there are the
columns `draws`, their number, and `spread`, the standard deviation of the draws' means. A prompt
without a value in some draw is left out; a control with a failed draw has failed.
"""
