"""Runs a command, and prints its seconds and peak memory in megabytes as JSON in its last line.

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
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps([seconds, peak]), flush=True)
    sys.exit(code)
