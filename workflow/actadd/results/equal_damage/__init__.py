"""Methods compared at equal damage.

A method's settings, from unsteered and the weakest to the strongest, are points of a curve: what
each does to damage and to the effect. Both are means over the same prompts, so a method's effect at
a stated damage is read off between two points, and prompts are resampled for its interval.
"""
