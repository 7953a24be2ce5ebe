"""repeng in a process of its own, since it needs an older numpy than the rest.

Reads a GGUF, controls a model by it, and writes the logits; writes a GGUF of its own.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from repeng import ControlModel, ControlVector
from transformers import AutoModelForCausalLM


def main(model_dir: str, folder: Path) -> None:
    result = ControlVector.import_gguf(folder / "ours.gguf")
    ids = torch.from_numpy(np.load(folder / "ids.npy"))
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    control = ControlModel(model, list(result.directions))
    control.set_control(result, 2.0)
    with torch.inference_mode():
        logits = control(input_ids=ids).logits
    np.save(folder / "logits.npy", logits.numpy())
    np.savez(folder / "ours.npz", **{str(n): row for n, row in result.directions.items()})
    (folder / "hint.txt").write_text(result.model_type)

    noise = np.random.default_rng(0)
    size = (model.config.num_hidden_layers, model.config.hidden_size)
    rows = dict(enumerate(noise.standard_normal(size).astype(np.float32)))
    ControlVector(model_type="gpt2", directions=rows).export_gguf(folder / "theirs.gguf")
    np.savez(folder / "theirs.npz", **{str(n): row for n, row in rows.items()})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
