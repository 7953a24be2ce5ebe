"""Runs benchmark items and writes a table and a figure: `python -m benchmarks --help`."""

import argparse
import json
import os
import time
from pathlib import Path

ITEMS = {
    "transformers": "against_transformers",
    "peers": "against_peers",
    "roofline": "roofline",
    "warm": "warm",
    "prefill": "prefill",
    "scale": "scale",
    "sweeps": "sweeps",
    "operations": "operations",
    "judge": "judge",
    "dtype": "dtype",
    "engines": "engines",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", nargs="+", choices=ITEMS, default=list(ITEMS))
    parser.add_argument("--model", type=Path, default=Path("results/models/smollm2-135m"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16", "mixed"), default="float32"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("results/benchmark"))
    parser.add_argument(
        "--no-ledger", action="store_true", help="do not add the results to benchmarks/ledger.csv"
    )
    arguments = parser.parse_args()
    # Before torch is imported, here and in every subprocess.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(arguments.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # As in the pipeline's programs; in this process it applies to every arm.
    os.environ["THP_MEM_ALLOC_ENABLE"] = "1"

    from importlib import import_module

    from benchmarks import ledger
    from benchmarks.common import Setup, machine
    from benchmarks.report import write

    setup = Setup(
        arguments.model,
        arguments.device,
        arguments.dtype,
        arguments.threads,
        arguments.output.absolute() / "scratch",
    )
    arguments.output.mkdir(parents=True, exist_ok=True)
    about = machine(setup)
    print(json.dumps(about, indent=2), flush=True)
    results = []
    began = time.perf_counter()
    for item in arguments.items:
        start = time.perf_counter()
        print(f"{item}:", flush=True)
        measured = import_module(f"benchmarks.{ITEMS[item]}").run(setup)
        results += measured
        print(f"{item}: {time.perf_counter() - start:.0f} s", flush=True)
        # After every item, so that an interrupted run leaves its results.
        write(results, about, arguments.output)
        if not arguments.no_ledger:
            ledger.add(measured, about)
            ledger.write_documents()
    print((arguments.output / "benchmark.md").read_text())
    print(f"{(time.perf_counter() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
