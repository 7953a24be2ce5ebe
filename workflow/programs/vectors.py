"""Derive a steering vector at every layer from cached activations, or read it from a file."""

from actadd.pipeline.program import run
from actadd.vectors.derivation import derive_all_layers
from actadd.vectors.file_formats import load_vectors


def work(spec, inputs, outputs):
    file, activations = inputs["file"], inputs["activations"]
    vectors = load_vectors(file, spec["vector"].get("format")) if file else None
    rows = vectors.rows if vectors else None
    summary = derive_all_layers(spec, activations, outputs["layers"], outputs["norms"], rows)
    if vectors and vectors.rounded:
        print(f"{file}: numbers of more digits than float32 keeps were rounded to it", flush=True)
    return summary


if __name__ == "__main__":
    run(__doc__, work, inputs="activations* file?", outputs="layers* norms")
