"""Prepare a fetched model: plain safetensors, one tokenizer file, checked facts.

On a CPU it is also verified here; on a GPU, programs.verification does that.
"""

from actadd.base.errors import UserError
from actadd.models.preparation import prepare
from actadd.models.verification.verify import verified
from actadd.pipeline.program import run


def work(spec, inputs, outputs):
    entry, folder = spec["model"], outputs["folder"]
    # Here, because every use of the model needs this job.
    if "terms" in entry:
        raise UserError(f"licences_accepted: not accepted yet: {entry['terms']}")
    facts = prepare(entry, inputs["source"], folder)
    if "compute" in spec:
        verified(spec, folder, folder / "verification.json", otherwise_removed=folder)
    return facts


if __name__ == "__main__":
    run(__doc__, work, inputs="source", outputs="folder")
