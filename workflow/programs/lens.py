"""Read vectors through a model's unembedding, and compare them with each other."""

from actadd.pipeline.program import run
from actadd.vectors.logit_lens import read_vectors


def work(spec, inputs, outputs):
    return read_vectors(
        spec,
        model_dir=inputs["model"],
        vector_files=inputs["vectors"],
        table=outputs["table"],
        cosines=outputs["cosines"],
    )


if __name__ == "__main__":
    run(__doc__, work, inputs="model verified vectors{vector}", outputs="table cosines")
