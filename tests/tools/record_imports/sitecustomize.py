"""Put on PYTHONPATH by tests: each program of ours leaves a list of the modules that it loaded.

With RECORD_CALLS in the environment also of the functions that it called.
"""

import atexit
import json
import os
import sys
import threading
from pathlib import Path

PACKAGES = ("actadd", "programs", "actadd_plugins")
_called: set[tuple[str, str]] = set()


def _trace(frame, event, argument):
    code = frame.f_code
    if "/workflow/" in code.co_filename:
        _called.add((frame.f_globals.get("__name__", ""), code.co_qualname))


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
        "called": sorted(
            (spec.name if module == "__main__" else module, name) for module, name in _called
        ),
    }
    folder = Path(os.environ["RECORD_IMPORTS"])
    (folder / f"{os.getpid()}.json").write_text(json.dumps(record))


if "RECORD_IMPORTS" in os.environ:
    atexit.register(_leave_list)
    if "RECORD_CALLS" in os.environ:
        threading.settrace(_trace)
        sys.settrace(_trace)
