"""vLLM's build for CPUs, offline and in one process, with continuous batching of all rows.

Its frequency penalty counts what is drawn, without the prompt.
"""

import os
from collections.abc import Callable
from typing import Any

from turns import Rows, Task, take_turns


def start(task: Task) -> tuple[Callable[[int], Rows], dict[str, Any]]:
    # Before vllm is imported. One process and one thread; room for keys and values in GiB.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"
    from vllm import LLM, SamplingParams

    rows = len(task["prompts"]) * task["samples"]
    engine = LLM(
        model=task["model"],
        dtype=task["dtype"],
        max_num_seqs=rows,
        max_model_len=256,
        seed=0,
        # Each draw computes the prompts, as every other arm does.
        enable_prefix_caching=False,
        disable_log_stats=True,
    )
    prompts = [{"prompt_token_ids": ids} for ids in task["prompts"]]

    def draw(tokens: int) -> Rows:
        sampling = SamplingParams(
            n=task["samples"],
            **task["sampling"],
            max_tokens=tokens,
            ignore_eos=True,
            detokenize=False,
        )
        outputs = engine.generate(prompts, sampling, use_tqdm=False)
        return [list(sample.token_ids) for output in outputs for sample in output.outputs]

    return draw, {}


if __name__ == "__main__":
    take_turns(start)
