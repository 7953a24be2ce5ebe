"""Make a fetched model ready: plain safetensors, one tokenizer file, checked facts."""

from actadd.errors import UserError
from actadd.models import prepare
from actadd.program import run


def work(spec, inputs, outputs):
    entry = spec["model"]
    # Whatever asked for the model.
    if "terms" in entry:
        raise UserError(f"licences_accepted: not accepted yet: {entry['terms']}")
    return prepare(entry, inputs["source"], outputs["folder"])


if __name__ == "__main__":
    run(__doc__, work, inputs="source", outputs="folder")
