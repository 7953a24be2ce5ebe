"""Our kernels give what torch's give, by Triton's interpreter where there is no GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed")

PROGRAM = """
import torch
from actadd.engine.decoding import decode_kernel, gate_kernel, rotary_kernel
device = torch.device("cpu")
# The interpreter multiplies matrices of bfloat16 as if they were integers.
for dtype in (torch.float32, torch.bfloat16):
    assert decode_kernel.agrees(device, dtype, 1), dtype
for group in (2, 4):
    assert decode_kernel.agrees(device, torch.float16, group), group
assert decode_kernel.by_group(device, torch.float16)
for dtype in rotary_kernel.DTYPES:
    assert rotary_kernel.agrees(device, dtype), dtype
    assert gate_kernel.agrees(device, dtype), dtype
"""


def test_kernels_in_the_interpreter():
    # The variable is read when Triton is imported.
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    paths = [str(Path(__file__).parents[2] / "workflow"), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, env=environment)
