"""Runs a command; its last line is JSON: seconds, those of the processor, megabytes at the peak.

As a program of its own, since a process's peak begins with that of the process that starts it.
"""

import json
import resource
import subprocess
import sys
import time

if __name__ == "__main__":
    start = time.perf_counter()
    code = subprocess.run(sys.argv[1:], check=False).returncode
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]), flush=True)
    sys.exit(code)
