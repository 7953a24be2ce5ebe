"""llama.cpp's server with continuous batching, of a native build or of the wheel xllamacpp.

A request is a prompt with all its samples, whose prefill the server computes once. Its frequency
penalty counts a window of tokens, which holds the whole row here, as in ours.
"""

import atexit
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from turns import Rows, Task, take_turns

# Tokens that a slot has room for.
ROOM = 256
WAIT_SECONDS = 120


def native(task: Task) -> tuple[str, str]:
    """(address, build) of a `llama-server` process, which ends with this one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads, slots = str(task["threads"]), task["slots"]
    command = [task["server"], "--model", task["gguf"], "--port", str(port), "--offline"]
    command += ["--parallel", str(slots), "--ctx-size", str(slots * ROOM), "--no-ui"]
    command += ["--threads", threads, "--threads-batch", threads, "--cache-ram", "0"]
    if task["control"]:
        command += ["--control-vector-scaled", task["control"]]
    server = subprocess.Popen(command)
    atexit.register(server.kill)
    address = f"http://127.0.0.1:{port}"
    end = time.monotonic() + WAIT_SECONDS
    while not _healthy(address):
        if server.poll() is not None or time.monotonic() > end:
            sys.exit("llama-server does not start")
        time.sleep(0.1)
    return address, "native build"


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health") as answer:
            return answer.status == 200
    except OSError:
        return False


def wheel(task: Task) -> tuple[str, str]:
    """(address, build) of the server inside the wheel's library."""
    import xllamacpp

    if task["control"]:
        sys.exit("the wheel xllamacpp cannot load a control vector")
    params = xllamacpp.CommonParams()
    params.model.path = task["gguf"]
    params.n_parallel, params.n_ctx = task["slots"], task["slots"] * ROOM
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = task["threads"]
    params.cache_ram_mib = 0
    server = xllamacpp.Server(params)
    # Referred to until the end, since it stops when it is collected.
    atexit.register(lambda: server)
    wide = re.search(r"AVX512\w* = 1", xllamacpp.get_system_info())
    return server.listening_address, f"wheel, {'AVX-512' if wide else 'AVX2'}"


def completed(address: str, body: dict[str, Any]) -> Rows:
    """The token ids of every completion of one request."""
    request = urllib.request.Request(
        f"{address}/completion",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        replies = json.load(answer)
    return [reply["tokens"] for reply in (replies if isinstance(replies, list) else [replies])]


def start(task: Task) -> tuple[Callable[[int], Rows], dict[str, Any]]:
    address, build = native(task) if task["server"] else wheel(task)
    prompts, sampling = task["prompts"], task["sampling"]
    body = {
        "n_cmpl": task["samples"],
        "temperature": sampling["temperature"],
        "top_p": sampling["top_p"],
        "frequency_penalty": sampling["frequency_penalty"],
        "repeat_last_n": max(map(len, prompts)) + task["tokens"],
        "repeat_penalty": 1,
        "samplers": ["penalties", "top_p", "temperature"],
        "seed": 0,
        "ignore_eos": True,
        "return_tokens": True,
        # Each draw computes the prompts, as every other arm does.
        "cache_prompt": False,
    }

    def draw(tokens: int) -> Rows:
        def ask(prompt: list[int]) -> Rows:
            return completed(address, {**body, "prompt": prompt, "n_predict": tokens})

        with ThreadPoolExecutor(len(prompts)) as pool:
            return [row for rows in pool.map(ask, prompts) for row in rows]

    one = {**body, "n_cmpl": 1, "n_predict": 8, "prompt": prompts[0]}
    greedy = completed(address, {**one, "samplers": ["top_k"], "top_k": 1})[0]
    return draw, {"greedy": greedy, "build": build}


if __name__ == "__main__":
    take_turns(start)
