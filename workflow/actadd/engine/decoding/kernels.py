"""Kernels of our own for an NVIDIA GPU, each tried before it is used."""

from collections.abc import Callable

from actadd.base.errors import one_line


def works(agrees: Callable[[], bool], otherwise: str) -> bool:
    """Whether a kernel runs and gives torch's numbers; else says why not, after `otherwise`.

    agrees: compares it with torch's kernels; a GPU's compiler may fail in it.
    """
    try:
        usable, reason = agrees(), "its numbers differ"
    except Exception as error:
        usable, reason = False, one_line(error)
    if not usable:
        print(f"{otherwise}: {reason}", flush=True)
    return usable
