"""sentence-transformers in a process of its own, so that nothing of ours can depend on it.

Embeds the texts of a JSON file with the encoder of each folder that is named.
"""

import json
import sys
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer


def main(texts: str, output: str, folders: list[str]) -> None:
    rows = json.loads(Path(texts).read_text(encoding="utf-8"))
    result = {}
    for folder in folders:
        encoder = SentenceTransformer(folder, device="cpu", local_files_only=True)
        # One by one: a batch of theirs is padded, which is another sum in float32.
        options = {"batch_size": 1, "normalize_embeddings": True, "show_progress_bar": False}
        result[Path(folder).name] = encoder.encode(rows, **options)
    np.savez(output, **result)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
