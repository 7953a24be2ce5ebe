"""Put on PYTHONPATH by tests: each program of ours leaves a list of the modules that it loaded.

With RECORD_CALLS in the environment also of its calls: module and name of the caller, "" where that
is no function but a module or a class, then of the function that was called.
"""

import atexit
import inspect
import json
import os
import sys
import threading
from pathlib import Path

PACKAGES = ("actadd", "programs", "actadd_plugins")
_calls: set[tuple[str, str, str, str]] = set()


def _is_ours(code) -> bool:
    return "/workflow/" in code.co_filename


def _trace(frame, event, argument):
    """Records a call of a function of ours with the function of ours that it goes back to."""
    code, caller = frame.f_code, frame.f_back
    # Only functions have local variables of their own: modules and the bodies of classes do not.
    if not _is_ours(code) or not code.co_flags & inspect.CO_NEWLOCALS:
        return
    while caller is not None and not _is_ours(caller.f_code):
        caller = caller.f_back
    if caller is not None:
        _calls.add((*_name(caller), *_name(frame)))


def _name(frame) -> tuple[str, str]:
    code = frame.f_code
    is_function = code.co_flags & inspect.CO_NEWLOCALS
    return frame.f_globals.get("__name__", ""), code.co_qualname if is_function else ""


def _leave_list() -> None:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is None or not spec.name.startswith("programs."):
        return
    sys.settrace(None)
    ours = [name for name in sys.modules if name.split(".")[0] in PACKAGES]
    record = {
        "program": spec.name,
        "arguments": sys.argv[1:],
        "modules": sorted(ours),
        "calls": [
            [spec.name if name == "__main__" else name for name in call] for call in sorted(_calls)
        ],
    }
    folder = Path(os.environ["RECORD_IMPORTS"])
    (folder / f"{os.getpid()}.json").write_text(json.dumps(record))


if "RECORD_IMPORTS" in os.environ:
    atexit.register(_leave_list)
    if "RECORD_CALLS" in os.environ:
        threading.settrace(_trace)
        sys.settrace(_trace)
