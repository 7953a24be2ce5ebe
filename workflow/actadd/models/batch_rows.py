"""Memory that a model's batches need, computed from its config, and batch rows that fit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actadd.base.errors import UserError
from actadd.base.files import write_json

# Of a number; of auto, the most that it may take.
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2, "mixed": 4, "auto": 4}
# Of a weight: mixed holds it in float32 and in bfloat16.
WEIGHT_BYTES = {**BYTES, "mixed": 6, "auto": 6}
QUANTIZED = {"8bit": 1}
# More rows gain little speed, and a single cell should still fill a batch.
ENOUGH = {"cpu": 128, "cuda": 512}
# Share of the memory beside the weights; the rest is for the allocator and temporary tensors.
USED = 0.6
# Arrays of vocabulary size, in float32, that a row needs to draw its next token, and that each
# token of a text needs to measure its log-probability.
DRAWING, MEASURING = 6, 3
# Tokens of a row in this estimate. Batches of longer rows are halved if memory runs out.
TOKENS = 256
# A given text needs the memory of this many drawn rows, since all its logits are held at once.
ROWS_PER_TEXT = 8


@dataclass(frozen=True)
class Size:
    """Bytes of a model's weights, of one token in the KV cache, and of one token's logits."""

    weights: int
    token: int
    logits: int

    def row(self, tokens: int) -> int:
        """The most bytes that a batch row of this many tokens needs, drawn or given."""
        drawn = tokens * self.token + DRAWING * self.logits
        scored = tokens * (self.token + MEASURING * self.logits) // ROWS_PER_TEXT
        return max(drawn, scored)


def size_of(
    model_dir: Path, dtype: str, quantization: str | None = None, trust_remote_code: bool = False
) -> Size:
    """The size of a prepared model in a dtype, with weights quantized or not."""
    from actadd.models.configs import read_config
    from actadd.models.folders import weight_files

    config = read_config(model_dir, trust_remote_code, model_dir.name)
    stored = sum(path.stat().st_size for path in weight_files(model_dir))
    dtype_stored = str(getattr(config, "dtype", None)).removeprefix("torch.")
    before = BYTES.get(dtype_stored, 4)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Size(
        stored * (QUANTIZED[quantization] if quantization else WEIGHT_BYTES[dtype]) // before,
        2 * config.num_hidden_layers * heads * head * BYTES[dtype],
        config.vocab_size * BYTES["float32"],
    )


def proposed_rows(size: Size, tokens: int, memory: int, device: str) -> int:
    """Rows of a batch: the largest power of two that fits, at most `ENOUGH`.

    tokens: of the longest row. memory: bytes that one job may use.
    Raises UserError if the weights and one row do not fit.
    """
    room = USED * (memory - size.weights)
    rows = int(room // size.row(tokens))
    if rows < 1:
        raise UserError(
            f"the weights take {size.weights / 1e9:.1f} GB and a row of {tokens} tokens "
            f"{size.row(tokens) / 1e9:.2f} GB, but {memory / 1e9:.1f} GB of memory are free; take "
            "another device, dtype or model, or set compute.batch_rows yourself"
        )
    return min(1 << (rows.bit_length() - 1), ENOUGH[device])


def memory(device: str, threads: int, gpus: int = 1) -> int:
    """Bytes that one job may use: free memory of its GPUs, or its share of free main memory."""
    import psutil

    if device == "cuda":
        import torch

        from actadd.models.loading import check_devices

        check_devices(device, gpus)
        return sum(torch.cuda.mem_get_info(gpu)[0] for gpu in range(gpus))
    jobs = max(1, (psutil.cpu_count() or 1) // threads)
    return int(psutil.virtual_memory().available) // jobs


def propose(spec: dict[str, Any], model_dir: Path, output: Path) -> dict[str, Any]:
    """Write the batch rows of a model on this machine, for `batch_rows: auto`.

    spec: dtype, compute. The file is written once and then only read, so that other programs'
    memory cannot change a cell.
    """
    compute = spec["compute"]
    trusted = compute.get("trust_remote_code", False)
    size = size_of(model_dir, spec["dtype"], compute.get("quantization"), trusted)
    free = memory(compute["device"], compute["threads"], compute.get("gpus", 1))
    rows = proposed_rows(size, TOKENS, free, compute["device"])
    record = {
        "batch_rows": rows,
        "memory_bytes": free,
        "weights_bytes": size.weights,
        "row_bytes": size.row(TOKENS),
        "row_tokens": TOKENS,
    }
    write_json(output, record)
    return record
