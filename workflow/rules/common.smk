# Functions for the rules: which files a job reads, and what `all` consists of.

CONDA = "../../environment.yml"


def layer_files(folder: str, model: str) -> list[str]:
    """One file for each layer of a model, 0-indexed block inputs."""
    layers = range(config["models"][model]["layers"])
    return [f"{folder}/layer_{layer:02d}.safetensors" for layer in layers]


def experiments(measure: str) -> str:
    """Wildcard constraint: the experiments that measure one thing."""
    names = [name for name, e in config["experiments"].items() if e["measure"] == measure]
    return "|".join(names) or "none"


def cells_file(model: str, experiment: str) -> str:
    """Where an experiment's completions or log-probabilities lie."""
    measure = config["experiments"][experiment]["measure"]
    return f"results/{measure}/{model}/{experiment}.parquet"


def dataset_source(wildcards):
    """A dataset's file, or the fetched source that holds it; nothing if its texts are inline."""
    entry = config["datasets"][wildcards.dataset]
    if "source" in entry:
        return f"results/sources/{entry['source']}"
    return entry.get("file", [])


def model_source(wildcards):
    return f"results/sources/{config['models'][wildcards.model]['source']}"


def experiment_prompts(wildcards):
    dataset = config["experiments"][wildcards.experiment]["prompts"]["dataset"]
    return f"results/datasets/{dataset}.parquet"


def experiment_vectors(wildcards):
    return [
        f"results/vectors/{wildcards.model}/{vector}/layer_{layer:02d}.safetensors"
        for vector, layer in PLAN.vectors_of(wildcards.experiment)
    ]


def experiment_choice(wildcards):
    if not config["experiments"][wildcards.experiment].get("choices"):
        return []
    return f"results/choices/{wildcards.model}/{wildcards.experiment}.json"


def experiment_shards(wildcards):
    """Markers of the shards that fill the cell store; none if one job does it all."""
    shards = config["experiments"][wildcards.experiment]["shards"]
    folder = f"results/completions/{wildcards.model}/{wildcards.experiment}"
    if shards == 1:
        return []
    return [f"{folder}/shard_{shard}_of_{shards}.provenance.json" for shard in range(shards)]


def choice_tables(wildcards):
    return [
        f"results/tables/{wildcards.model}/{sweep}.parquet"
        for sweep in PLAN.choice_sources(wildcards.experiment)
    ]


def scorer_needs(wildcards):
    """What a scorer reads besides texts: its fitted classifier, its model, or its source."""
    entry = config["scorers"][wildcards.scorer]
    folders = {
        "classifier": f"results/scorers/{wildcards.scorer}",
        "model": f"results/models/{entry.get('model')}",
        "source": f"results/sources/{entry.get('source')}",
    }
    return [folders[need] for need in PLAN.scorer_inputs(wildcards.scorer)]


def classifier_texts(wildcards):
    dataset = config["scorers"][wildcards.scorer]["fit"]["dataset"]
    return f"results/datasets/{dataset}.parquet"


def validation_texts(wildcards):
    dataset = config["scorers"][wildcards.scorer]["validate"]["dataset"]
    return f"results/datasets/{dataset}.parquet"


def table_cells(wildcards):
    return cells_file(wildcards.model, wildcards.experiment)


def score_files(model: str, experiment: str) -> list[str]:
    scorers = config["experiments"][experiment].get("scorers", [])
    return [f"results/scores/{model}/{experiment}/{scorer}.parquet" for scorer in scorers]


def table_scores(wildcards):
    return score_files(wildcards.model, wildcards.experiment)


def figure_tables(wildcards):
    entry = config["figures"][wildcards.figure]
    models = PLAN.figure_models(wildcards.figure)
    if entry["kind"] == "norms":
        return [
            f"results/vectors/{model}/{vector}/norms.csv"
            for model in models
            for vector in entry["vectors"]
        ]
    return [f"results/tables/{model}/{entry['experiment']}.parquet" for model in models]


def everything() -> list[str]:
    """Every file of the config's experiments and figures, the intermediate ones too.

    Were only figures asked for, a missing intermediate would count as not needed, and a figure
    left over from before a failed run as up to date.
    """
    wanted: list[str] = ["results/tables/scorer_card.csv"]
    wanted += [f"results/sources/{source}" for source in PLAN.sources_used()]
    wanted += [f"results/models/{model}" for model in PLAN.models_used()]
    wanted += [f"results/datasets/{dataset}.parquet" for dataset in PLAN.datasets_used()]
    wanted += [f"results/validation/{name}.json" for name in PLAN.validated_scorers()]
    wanted += [
        f"results/scorers/{name}"
        for name in PLAN.scorers_used()
        if "classifier" in PLAN.scorer_inputs(name)
    ]
    vectors: set[tuple[str, str]] = set()
    for name, entry in config["experiments"].items():
        for model in entry["models"]:
            vectors |= {(model, vector) for vector, _ in PLAN.vectors_of(name)}
            wanted.append(cells_file(model, name))
            wanted += score_files(model, name)
            wanted.append(f"results/tables/{model}/{name}.parquet")
            if entry.get("choices"):
                wanted.append(f"results/choices/{model}/{name}.json")
    for name, entry in config["figures"].items():
        wanted += [f"results/figures/{name}.{kind}" for kind in ("png", "svg")]
        if entry["kind"] == "norms":
            vectors |= {(model, v) for model in entry["models"] for v in entry["vectors"]}
    for model, vector in vectors:
        wanted.append(f"results/vectors/{model}/{vector}/norms.csv")
        wanted += layer_files(f"results/vectors/{model}/{vector}", model)
        wanted += layer_files(f"results/activations/{model}/{PLAN.contrast(vector)}", model)
    return sorted(set(wanted))


def path_source(wildcards) -> list[str]:
    """The user's own files behind a source of type path; the program says it if there are none."""
    given = config["sources"][wildcards.source].get("path")
    if given is None:
        return []
    path = Path(given).expanduser()
    files = path.rglob("*") if path.is_dir() else [path]
    return sorted(str(file) for file in files if file.is_file())


def gpus() -> int:
    return int(config["compute"]["device"] == "cuda")
