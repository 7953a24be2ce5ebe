"""Make a fetched model ready: plain safetensors, one tokenizer file, checked facts."""

from actadd.models import prepare
from actadd.program import run


def work(spec, inputs, outputs):
    return prepare(spec["model"], inputs["source"], outputs["folder"])


if __name__ == "__main__":
    run(__doc__, work, inputs="source", outputs="folder")
