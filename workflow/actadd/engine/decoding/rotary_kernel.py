"""Rotary embedding of queries and keys as one kernel for an NVIDIA GPU.

Transformers' own is ten kernels, each of which reads and writes all heads.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

from functools import cache
from typing import Any

import torch
from torch import Tensor

from actadd.engine.decoding.kernels import works

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

DTYPES = (torch.bfloat16, torch.float16)

if triton is not None:

    @triton.jit
    def _rotate(
        query, key, query_out, key_out, cos, sin,
        query_row, query_head, query_token, key_row, key_head, key_token,
        cos_row, cos_token, sin_row, sin_token,
        heads: tl.constexpr, shared: tl.constexpr, tokens: tl.constexpr,
        half: tl.constexpr, lanes: tl.constexpr,
    ):  # fmt: skip
        row = (tl.program_id(0) // tokens).to(tl.int64)
        token = tl.program_id(0) % tokens
        head = tl.program_id(1)
        n = tl.arange(0, lanes)
        inside = n < half
        cosines = cos + row * cos_row + token * cos_token + n
        sines = sin + row * sin_row + token * sin_token + n
        cos_low = tl.load(cosines, inside, 0.0).to(tl.float32)
        cos_high = tl.load(cosines + half, inside, 0.0).to(tl.float32)
        sin_low = tl.load(sines, inside, 0.0).to(tl.float32)
        sin_high = tl.load(sines + half, inside, 0.0).to(tl.float32)
        if head < heads:
            read = query + row * query_row + head * query_head + token * query_token + n
            write = query_out + ((row * heads + head) * tokens + token) * 2 * half + n
        else:
            other = head - heads
            read = key + row * key_row + other * key_head + token * key_token + n
            write = key_out + ((row * shared + other) * tokens + token) * 2 * half + n
        low = tl.load(read, inside, 0.0).to(tl.float32)
        high = tl.load(read + half, inside, 0.0).to(tl.float32)
        kind = query_out.dtype.element_ty
        tl.store(write, (low * cos_low - high * sin_low).to(kind), inside)
        tl.store(write + half, (high * cos_high + low * sin_high).to(kind), inside)


def rotated(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Both, turned by the positions' angles, as transformers' `apply_rotary_pos_emb` for Llama.

    query: [rows, heads, tokens, width]; key: [rows, shared heads, tokens, width]; cos, sin:
    [rows or 1, tokens, width]. The last axis of all of them is dense.
    """
    rows, heads, tokens, width = query.shape
    shared = key.shape[1]
    cos, sin = (each.expand(rows, tokens, width) for each in (cos, sin))
    query_out = query.new_empty(rows, heads, tokens, width)
    key_out = query.new_empty(rows, shared, tokens, width)
    launch: Any = _rotate[(rows * tokens, heads + shared)]
    launch(
        query, key, query_out, key_out, cos, sin, *query.stride()[:3], *key.stride()[:3],
        *cos.stride()[:2], *sin.stride()[:2],
        heads=heads, shared=shared, tokens=tokens, half=width // 2,
        lanes=triton.next_power_of_2(width // 2), num_warps=1,
    )  # fmt: skip
    return query_out, key_out


def takes(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> bool:
    """Whether these are of a form that the kernel knows."""
    each = (query, key, cos, sin)
    return (
        query.ndim == key.ndim == 4
        and cos.ndim == sin.ndim == 3
        and cos.shape[-1] == query.shape[-1] == key.shape[-1]
        and query.shape[-1] % 2 == 0
        and all(part.stride(-1) == 1 and part.dtype == query.dtype for part in each)
        and is_usable(query.device, query.dtype)
    )


def agrees(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernel runs here and gives what torch's give."""
    generator = torch.Generator().manual_seed(0)

    def some(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    query, key = some(3, 5, 4, 24).transpose(1, 2), some(3, 5, 2, 24).transpose(1, 2)
    cos, sin = some(3, 5, 24), some(3, 5, 24)
    for ours, read in zip(rotated(query, key, cos, sin), (query, key), strict=True):
        low, high = read.float().chunk(2, dim=-1)
        turned = torch.cat([-high, low], dim=-1)
        theirs = read.float() * cos[:, None].float() + turned * sin[:, None].float()
        if not (ours.float() - theirs).norm() <= 1e-2 * theirs.norm():
            return False
    return True


@cache
def is_usable(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether to take the kernel; says why not, if a GPU's compiler fails."""
    if triton is None or device.type != "cuda" or dtype not in DTYPES:
        return False
    return works(lambda: agrees(device, dtype), "rotary embedding by torch's kernels, not by ours")
