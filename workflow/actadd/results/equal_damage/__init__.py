"""Methods compared at equal damage.

A method's settings, from unsteered and the weakest to the strongest, are a path of points: what each
does to its damage and to the effect. Both are means over the same prompts, so a method's effect at
a stated damage is read off between two points, and prompts are resampled for its interval.
"""
