"""The gate of a feed-forward layer, SiLU(gate) * up, as one kernel for an NVIDIA GPU."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from actadd.engine.decoding.kernels import works

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

DTYPES = (torch.bfloat16, torch.float16)
BLOCK = 1024

if triton is not None:

    @triton.jit
    def _gate(gate, up, out, size, block: tl.constexpr):
        n = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
        inside = n < size
        x = tl.load(gate + n, inside, 0.0).to(tl.float32)
        y = tl.load(up + n, inside, 0.0).to(tl.float32)
        kind = out.dtype.element_ty
        # Rounded where torch rounds.
        opened = (x / (1.0 + tl.exp(-x))).to(kind).to(tl.float32)
        tl.store(out + n, (opened * y).to(kind), inside)


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """SiLU(gate) * up; both dense, of one shape."""
    out = torch.empty_like(gate)
    launch: Any = _gate[(triton.cdiv(gate.numel(), BLOCK),)]
    launch(gate, up, out, gate.numel(), block=BLOCK, num_warps=4)
    return out


def takes(gate: Tensor, up: Tensor) -> bool:
    """Whether these are of a form that the kernel knows."""
    return (
        gate.shape == up.shape
        and gate.dtype == up.dtype
        and gate.is_contiguous()
        and up.is_contiguous()
        and is_usable(gate.device, gate.dtype)
    )


def agrees(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernel runs here and gives what torch's give."""
    generator = torch.Generator().manual_seed(0)
    gate, up = (3 * torch.randn(2, 3, 700, generator=generator).to(device, dtype) for _ in range(2))
    theirs = (functional.silu(gate) * up).float()
    return bool((gated(gate, up).float() - theirs).norm() <= 1e-2 * theirs.norm())


@cache
def is_usable(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether to take the kernel; says why not, if a GPU's compiler fails."""
    if triton is None or device.type != "cuda" or dtype not in DTYPES:
        return False
    return works(lambda: agrees(device, dtype), "gates by torch's kernels, not by ours")
