"""Names in messages: the one that was probably meant, and those that exist."""

import difflib
from collections.abc import Collection, Iterable

from actadd.base.errors import quote

# Names that a message lists.
LISTED = 12


def nearest(name: object, names: Iterable[object]) -> str:
    """ " (did you mean NAME?)" with the nearest of some names; empty if none is near."""
    near = difflib.get_close_matches(str(name), [str(each) for each in names], n=1, cutoff=0.7)
    return f" (did you mean {near[0]!r}?)" if near else ""


def some(names: Iterable[object], first: Collection[object] = ()) -> str:
    """A few names in alphabetical order, and how many more exist.

    first: those to list before others, such as the names of the user's own file.
    """
    every = sorted(set(map(str, names)))
    ahead = [name for name in every if name in set(map(str, first))]
    listed = (ahead or every)[:LISTED]
    others = f" and {len(every) - len(listed)} more" if len(every) > len(listed) else ""
    return f"{', '.join(listed) or 'none'}{others}"


def unknown(
    noun: str, name: object, names: Iterable[object], first: Collection[object] = ()
) -> str:
    """A sentence about a name that does not exist. first: see `some`."""
    names = list(names)
    return (
        f"there is no {noun} {quote(name)}{nearest(name, names)}; there are: {some(names, first)}"
    )
