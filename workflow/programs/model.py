"""Make a fetched model ready: plain safetensors, one tokenizer file, checked facts.

On a CPU it is verified here; where that takes a GPU, programs.verification does it.
"""

from actadd.base.errors import UserError
from actadd.models.preparation import prepare
from actadd.models.verification.verify import verified
from actadd.pipeline.program import run


def work(spec, inputs, outputs):
    entry, folder = spec["model"], outputs["folder"]
    # This holds for every job that asks for the model.
    if "terms" in entry:
        raise UserError(f"licences_accepted: not accepted yet: {entry['terms']}")
    facts = prepare(entry, inputs["source"], folder)
    if "compute" in spec:
        verified(spec, folder, folder / "verification.json", otherwise_removed=folder)
    return facts


if __name__ == "__main__":
    run(__doc__, work, inputs="source", outputs="folder")
