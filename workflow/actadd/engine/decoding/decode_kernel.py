"""Attention of one new token over a fixed cache, as one kernel for an NVIDIA GPU.

Beside torch's own it reads the columns so far only, not the whole room, and writes the new token's
key and value on the way: of a decode step most else is reading weights.
"""

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

# Columns that are read at once.
BLOCK = 64
HALF = (torch.bfloat16, torch.float16)
DTYPES = (*HALF, torch.float32)

if triton is not None:

    @triton.jit
    def _attend(
        query, new_key, new_value, keys, values, mask, out, column_at, scale,
        query_row, query_head, new_row, new_head, value_row, value_head,
        keys_row, keys_head, keys_column, values_row, values_head, values_column, mask_row,
        heads: tl.constexpr, group: tl.constexpr, key_width: tl.constexpr,
        value_width: tl.constexpr, key_lanes: tl.constexpr, value_lanes: tl.constexpr,
        block: tl.constexpr,
    ):  # fmt: skip
        row = tl.program_id(0).to(tl.int64)
        head = tl.program_id(1)
        shared = head // group
        column = tl.load(column_at)
        k = tl.arange(0, key_lanes)
        v = tl.arange(0, value_lanes)
        q = tl.load(query + row * query_row + head * query_head + k, k < key_width, 0.0)
        key = tl.load(new_key + row * new_row + shared * new_head + k, k < key_width, 0.0)
        value = tl.load(new_value + row * value_row + shared * value_head + v, v < value_width, 0.0)
        keys += row * keys_row + shared * keys_head
        values += row * values_row + shared * values_head
        if head % group == 0:
            # No program reads this column in this pass, so the order does not matter.
            tl.store(keys + column * keys_column + k, key, k < key_width)
            tl.store(values + column * values_column + v, value, v < value_width)
        wide = q.to(tl.float32) * scale
        highest = tl.sum(wide * key.to(tl.float32))
        total = 1.0
        mixed = value.to(tl.float32)
        for start in range(0, column, block):
            n = start + tl.arange(0, block)
            before = n < column
            inside = before[:, None]
            some_keys = tl.load(
                keys + n[:, None] * keys_column + k[None, :], inside & (k < key_width)[None, :], 0.0
            )
            some_values = tl.load(
                values + n[:, None] * values_column + v[None, :],
                inside & (v < value_width)[None, :],
                0.0,
            )
            added = tl.load(mask + row * mask_row + n, before, float("-inf")).to(tl.float32)
            scores = tl.sum(wide[None, :] * some_keys.to(tl.float32), axis=1) + added
            above = tl.maximum(highest, tl.max(scores, axis=0))
            weights = tl.exp(scores - above)
            factor = tl.exp(highest - above)
            total = total * factor + tl.sum(weights, axis=0)
            mixed = mixed * factor + tl.sum(weights[:, None] * some_values.to(tl.float32), axis=0)
            highest = above
        at = out + (row * heads + head) * value_width + v
        tl.store(at, (mixed / total).to(out.dtype.element_ty), v < value_width)

    @triton.jit
    def _attend_shared(
        query, new_key, new_value, keys, values, mask, out, column_at, scale,
        query_row, query_head, new_row, new_head, value_row, value_head,
        keys_row, keys_head, keys_column, values_row, values_head, values_column, mask_row,
        heads: tl.constexpr, group: tl.constexpr, key_width: tl.constexpr,
        value_width: tl.constexpr, key_lanes: tl.constexpr, value_lanes: tl.constexpr,
        block: tl.constexpr, lanes: tl.constexpr,
    ):  # fmt: skip
        row = tl.program_id(0).to(tl.int64)
        shared = tl.program_id(1)
        column = tl.load(column_at)
        kind = out.dtype.element_ty
        k = tl.arange(0, key_lanes)
        v = tl.arange(0, value_lanes)
        g = tl.arange(0, lanes)
        head = shared * group + g
        real = (g < group)[:, None]
        q = tl.load(
            query + row * query_row + head[:, None] * query_head + k[None, :],
            real & (k < key_width)[None, :],
            0.0,
        )
        key = tl.load(new_key + row * new_row + shared * new_head + k, k < key_width, 0.0)
        value = tl.load(new_value + row * value_row + shared * value_head + v, v < value_width, 0.0)
        keys += row * keys_row + shared * keys_head
        values += row * values_row + shared * values_head
        # No program reads this column in this pass, so the order does not matter.
        tl.store(keys + column * keys_column + k, key, k < key_width)
        tl.store(values + column * values_column + v, value, v < value_width)
        highest = tl.sum(q.to(tl.float32) * key.to(tl.float32)[None, :], axis=1) * scale
        total = tl.full([lanes], 1.0, tl.float32)
        mixed = tl.zeros([lanes, value_lanes], tl.float32) + value.to(tl.float32)[None, :]
        for start in range(0, column, block):
            n = start + tl.arange(0, block)
            before = n < column
            inside = before[:, None]
            some_keys = tl.load(
                keys + n[:, None] * keys_column + k[None, :], inside & (k < key_width)[None, :], 0.0
            )
            some_values = tl.load(
                values + n[:, None] * values_column + v[None, :],
                inside & (v < value_width)[None, :],
                0.0,
            )
            added = tl.load(mask + row * mask_row + n, before, float("-inf")).to(tl.float32)
            scores = tl.dot(q, tl.trans(some_keys)) * scale + added[None, :]
            above = tl.maximum(highest, tl.max(scores, axis=1))
            weights = tl.exp(scores - above[:, None])
            factor = tl.exp(highest - above)
            total = total * factor + tl.sum(weights, axis=1)
            mixed = mixed * factor[:, None] + tl.dot(weights.to(kind), some_values)
            highest = above
        at = out + (row * heads + head[:, None]) * value_width + v[None, :]
        tl.store(at, (mixed / total[:, None]).to(kind), real & (v < value_width)[None, :])


def attend(
    query: Tensor,
    new_key: Tensor,
    new_value: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor,
    column: Tensor,
    scale: float,
) -> Tensor:
    """What a token at `column` reads, [rows, 1, heads, width]; its key and value are written there.

    query: [rows, heads, 1, width]; new_key, new_value: [rows, shared heads, 1, width]; keys,
    values: [rows, shared heads, room, width]; mask: what is added, [rows, 1, 1, room]; column:
    int64 []. The last axis of all of them is dense.
    """
    rows, heads, _, width = query.shape
    value_width = new_value.shape[-1]
    out = query.new_empty(rows, 1, heads, value_width)
    shared, group = keys.shape[1], heads // keys.shape[1]
    together = group > 1 and by_group(query.device, query.dtype)
    launch: Any = _attend_shared[(rows, shared)] if together else _attend[(rows, heads)]
    lanes: Any = {"lanes": max(16, triton.next_power_of_2(group))} if together else {}
    launch(
        query, new_key, new_value, keys, values, mask, out, column, scale,
        query.stride(0), query.stride(1), new_key.stride(0), new_key.stride(1),
        new_value.stride(0), new_value.stride(1),
        keys.stride(0), keys.stride(1), keys.stride(2),
        values.stride(0), values.stride(1), values.stride(2), mask.stride(0),
        heads=heads, group=group, key_width=width, value_width=value_width,
        key_lanes=_lanes(width, together), value_lanes=_lanes(value_width, together),
        block=BLOCK, num_warps=4, **lanes,
    )  # fmt: skip
    return out


def _lanes(width: int, together: bool) -> int:
    # Products of tiles want sixteen at least.
    return max(16 if together else 1, int(triton.next_power_of_2(width)))


def by_torch(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scale: float) -> Tensor:
    """What new tokens read of keys and values that hold their own, by torch's kernel."""
    rows, heads, _, width = query.shape
    # Query heads that share a key are read side by side, so that none is copied.
    packed = query.reshape(rows, keys.shape[1], heads // keys.shape[1], width)
    mixed = functional.scaled_dot_product_attention(
        packed, keys, values, attn_mask=mask, scale=scale
    )
    return mixed.reshape(rows, 1, heads, values.shape[-1])


def examples(device: torch.device, dtype: torch.dtype, group: int) -> dict[str, Any]:
    """Arguments of `attend` with random numbers, some columns masked; group: heads of a key."""
    generator = torch.Generator().manual_seed(0)

    def states(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    mask = torch.zeros(3, 1, 1, 2 * BLOCK + 16)
    mask[1, :, :, :9] = -torch.inf
    mask[:, :, :, BLOCK + 20 :] = -torch.inf
    return {
        "query": states(3, 2 * group, 1, 24),
        "new_key": states(3, 2, 1, 24),
        "new_value": states(3, 2, 1, 24),
        "keys": states(3, 2, 2 * BLOCK + 16, 24),
        "values": states(3, 2, 2 * BLOCK + 16, 24),
        "mask": mask.to(device, dtype),
        "column": torch.tensor(BLOCK + 19, device=device),
        "scale": 24**-0.5,
    }


def agrees(device: torch.device, dtype: torch.dtype, group: int = 1) -> bool:
    """Whether the kernel runs here and gives what torch's give."""
    ours, theirs = examples(device, dtype, group), examples(device, dtype, group)
    one = attend(**ours)
    for name in ("key", "value"):
        theirs[f"{name}s"].index_copy_(2, theirs["column"], theirs[f"new_{name}"])
    same = all(torch.equal(ours[name], theirs[name]) for name in ("keys", "values"))
    other = by_torch(*(theirs[name] for name in ("query", "keys", "values", "mask", "scale")))
    bound = 1e-5 if dtype == torch.float32 else 2e-2
    return same and bool((one - other).norm() <= bound * other.norm())


# Whether the heads that share a key are taken together, once it was tried.
_together: dict[tuple[torch.device, torch.dtype], bool] = {}


def by_group(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether to take the heads that share a key in one program, as products of small matrices.

    Only in half precision, where such a product is exact.
    """
    key = device, dtype
    if key not in _together:
        _together[key] = dtype in HALF
        if _together[key]:
            _together[key] = _works(device, dtype, group=4)
    return _together[key]


@cache
def is_usable(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether to take the kernels; says why not, if a GPU's compiler fails."""
    if triton is None or device.type != "cuda" or dtype not in DTYPES:
        return False
    by_group(device, dtype)
    return _works(device, dtype, group=1)


def _works(device: torch.device, dtype: torch.dtype, group: int) -> bool:
    otherwise = f"decode attention, {group} heads a key, not by our kernel"
    return works(lambda: agrees(device, dtype, group), otherwise)
