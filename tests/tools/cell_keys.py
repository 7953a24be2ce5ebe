"""The keys of the cells of a workspace's results by its own library, as JSON; run in its folder.

{"EXPERIMENT on MODEL": keys of its cells, "SCORER of EXPERIMENT on MODEL": keys of its scores},
of every experiment that was run, and of every scorer of the config on its completions.
"""

import json
import sys
from pathlib import Path

import yaml

sys.path.insert(0, "workflow")

from actadd.measure.measurement import cells_of
from actadd.scorers.scores import keyed

RESULTS = Path("results")


def main() -> None:
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    keys = {}
    for name, entry in config["experiments"].items():
        for path in sorted(RESULTS.glob(f"{entry['measure']}/*/{name}.parquet")):
            model = path.parent.name
            record = json.loads(path.with_suffix(".provenance.json").read_text(encoding="utf-8"))
            choice = RESULTS / "choices" / model / f"{name}.json"
            _, _, cells = cells_of(
                record["spec"],
                model_dir=RESULTS / "models" / model,
                texts_file=RESULTS / "datasets" / f"{entry['prompts']['dataset']}.parquet",
                vector_files={
                    path.parent.name: path
                    for path in RESULTS.glob(f"vectors/{model}/*/*.safetensors")
                },
                choice=choice if choice.exists() else None,
            )
            keys[f"{name} on {model}"] = list(cells.keys)
            if entry["measure"] != "completions":
                continue
            for scorer, its in config["scorers"].items():
                folders = (RESULTS / "scorers" / scorer, RESULTS / "models" / str(its.get("model")))
                inputs = next((folder for folder in folders if folder.exists()), None)
                scores = path.parents[2] / "scores" / model / name / f"{scorer}.provenance.json"
                spec = {**its, "name": scorer}
                if scores.exists():
                    spec = json.loads(scores.read_text(encoding="utf-8"))["spec"]["scorer"]
                scored = keyed(spec, path, inputs)
                keys[f"{scorer} of {name} on {model}"] = [key for key, _ in scored]
    print(json.dumps(keys))


if __name__ == "__main__":
    main()
