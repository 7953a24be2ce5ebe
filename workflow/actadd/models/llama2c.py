"""Models in llama2.c's file format (the stories models) as Hugging Face LLaMA models.

The file: seven int32 (dim, hidden, layers, heads, key-value heads, vocabulary, context; a positive
vocabulary means that the output head is the embedding), then float32 weights, each kind of all
layers together. The tokenizer: int32 longest token, then (float32 score, int32 length, bytes) each.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np

from actadd.base.errors import UserError

HEADER = 7 * 4


def convert(data: Path, target: Path) -> None:
    """Write a LLaMA checkpoint and its tokenizer.json from a llama2.c file.

    data: weights followed by the tokenizer, as in the browser builds of llama2.c.
    target: folder for config.json, model.safetensors and tokenizer.json.
    Raises UserError if the file does not have that form or is truncated.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    blob = data.read_bytes()
    if blob.startswith(b"version https://git-lfs"):
        raise UserError(f"{data.name} is a git-lfs pointer; run `git lfs pull` where it lies")
    if len(blob) < HEADER:
        raise UserError(f"{data.name} is too short for a llama2.c model; get it anew")
    dim, hidden, layers, heads, kv_heads, vocabulary, context = struct.unpack("<7i", blob[:HEADER])
    if vocabulary < 0:
        raise UserError(f"{data.name} has an output head of its own, which is not read")
    sizes = (dim, hidden, layers, heads, kv_heads, vocabulary, context)
    limits = (1 << 16, 1 << 18, 1 << 10, 1 << 10, 1 << 10, 1 << 20, 1 << 20)
    whole = all(0 < size < limit for size, limit in zip(sizes, limits, strict=True))
    if not whole or dim % heads or heads % kv_heads:
        raise UserError(f"{data.name} is not a llama2.c model: its header reads {sizes}")
    head, kv_dim = dim // heads, dim // heads * kv_heads
    offset = HEADER

    def take(*shape: int) -> torch.Tensor:
        nonlocal offset
        count = int(np.prod(shape))
        if offset + 4 * count > len(blob):
            raise UserError(f"{data.name} is cut short at {len(blob):_} bytes; get it anew")
        values = np.frombuffer(blob, np.float32, count, offset).reshape(shape)
        offset += 4 * count
        return torch.from_numpy(values.copy())

    def half_split(weight: torch.Tensor) -> torch.Tensor:
        """Reorder rotary pairs, which are adjacent in llama2.c and half a head apart here."""
        rows, columns = weight.shape
        pairs = weight.view(rows // head, head // 2, 2, columns)
        return pairs.transpose(1, 2).reshape(rows, columns)

    kinds = [
        ("input_layernorm", (dim,)),
        ("self_attn.q_proj", (dim, dim)),
        ("self_attn.k_proj", (kv_dim, dim)),
        ("self_attn.v_proj", (kv_dim, dim)),
        ("self_attn.o_proj", (dim, dim)),
        ("post_attention_layernorm", (dim,)),
        ("mlp.gate_proj", (hidden, dim)),
        ("mlp.down_proj", (dim, hidden)),
        ("mlp.up_proj", (hidden, dim)),
    ]
    state = {"model.embed_tokens.weight": take(vocabulary, dim)}
    for kind, shape in kinds:
        for layer in range(layers):
            weight = take(*shape)
            if kind.endswith(("q_proj", "k_proj")):
                weight = half_split(weight)
            state[f"model.layers.{layer}.{kind}.weight"] = weight
    state["model.norm.weight"] = take(dim)
    # Two rotary tables follow; transformers computes its own.
    offset += 2 * 4 * context * head // 2

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=dim,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=context,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)
    model.save_pretrained(target)
    try:
        tokenizer = _tokenizer(blob[offset:], vocabulary)
    except struct.error as error:
        raise UserError(
            f"{data.name} ends before its tokenizer does; append tokenizer.bin to the weights"
        ) from error
    tokenizer.save(str(target / "tokenizer.json"))


def _tokenizer(blob: bytes, vocabulary: int) -> Any:
    """A byte-fallback BPE tokenizer, with merges in order of the scores, best first."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

    pieces, scores, offset = [], [], 4
    for _ in range(vocabulary):
        score, length = struct.unpack_from("<fi", blob, offset)
        piece = blob[offset + 8 : offset + 8 + length].decode("utf-8", errors="replace")
        pieces.append(piece)
        scores.append(score)
        offset += 8 + length
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    names += [piece.replace(" ", "▁") for piece in pieces[len(names) :]]
    ids = {name: index for index, name in enumerate(names)}
    merges = []
    for index in sorted(range(259, vocabulary), key=lambda index: -scores[index]):
        name = names[index]
        splits = [
            (name[:cut], name[cut:])
            for cut in range(1, len(name))
            if name[:cut] in ids and name[cut:] in ids
        ]
        merges += sorted(splits, key=lambda split: (ids[split[0]], ids[split[1]]))
    tokenizer = Tokenizer(
        models.BPE(ids, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in names[:3]])
    return tokenizer
