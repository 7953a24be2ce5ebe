# Scores of completions, one file for each scorer, and the scorers' agreement with people.
#
# in   results/completions/{model}/{experiment}.parquet, and the scorer's model or source
# out  results/scores/{model}/{experiment}/{scorer}.parquet, results/tables/scorer_card.csv, .md, .tex;
#      of the paper's experiments paper_scorer_card, of the studies laboratory_scorer_card


# Only scorers that run a model use the shards of an experiment.
ruleorder: scores_gather > scores


rule classifier:
    input:
        unpack(reads("classifier")),
    output:
        **writes("classifier"),
    log:
        layout.log("classifier"),
    benchmark:
        layout.benchmark("classifier")
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    message:
        "Fit the classifier {wildcards.scorer}"
    shell:
        "python -m programs.classifier --job {input.job} --texts {input.texts} --folder {output.folder} "
        "--provenance {output.provenance} > {log} 2>&1"


rule scores:
    input:
        unpack(reads("scores")),
    output:
        **writes("scores"),
    log:
        layout.log("scores"),
    benchmark:
        layout.benchmark("scores")
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory("scores"),
        runtime=minutes("scores"),
        gpu=scorer_gpus,
    params:
        store=locate(layout.STORE),
        failures=failures("scores"),
        note=note("scores"),
        shard="0/1",
        answers=answers,
    message:
        "Score {wildcards.experiment} on {wildcards.model} with {wildcards.scorer}"
    shell:
        "python -m programs.scores --job {input.job} --shard {params.shard} "
        "--completions {input.completions} --needs {input.needs} --verified {input.verified} --rows {input.rows} "
        "--shards {input.shards} --answers {params.answers} "
        "--store {params.store} --failures {params.failures} --note {params.note} "
        "--scores {output.scores} --provenance {output.provenance} > {log} 2>&1"


use rule scores as scores_shard with:
    input:
        unpack(reads("scores_shard")),
    output:
        **writes("scores_shard"),
    log:
        layout.log("scores_shard"),
    benchmark:
        layout.benchmark("scores_shard")
    wildcard_constraints:
        experiment=experiments(sharded=True),
        scorer=judges(),
    params:
        store=locate(layout.STORE),
        failures=failures("scores_shard"),
        note=note("scores_shard"),
        shard="{shard}/{shards}",
        answers=answers,
    message:
        "Shard {wildcards.shard} of {wildcards.scorer}'s scores of {wildcards.experiment} on {wildcards.model}"


use rule scores as scores_gather with:
    input:
        unpack(reads("scores_gather")),
    output:
        **writes("scores_gather"),
    log:
        layout.log("scores_gather"),
    benchmark:
        layout.benchmark("scores_gather")
    wildcard_constraints:
        experiment=experiments(sharded=True),
        scorer=judges(),
    threads: 1
    resources:
        mem_mb=memory("gather"),
        runtime=minutes("gather"),
        gpu=0,
    params:
        store=locate(layout.STORE),
        failures="",
        note="",
        shard="none",
        answers=answers,
    message:
        "Gather {wildcards.scorer}'s scores of {wildcards.experiment} on {wildcards.model}"


rule validation:
    input:
        unpack(reads("validation")),
    output:
        **writes("validation"),
    log:
        layout.log("validation"),
    benchmark:
        layout.benchmark("validation")
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory("validation"),
        runtime=minutes("validation"),
        gpu=scorer_gpus,
    params:
        answers=answers,
    message:
        "Compare {wildcards.scorer} with human labels"
    shell:
        "python -m programs.validation --job {input.job} --answers {params.answers} "
        "--texts {input.texts} --needs {input.needs} --verified {input.verified} --rows {input.rows} --figures {output.figures} "
        "--provenance {output.provenance} > {log} 2>&1"


rule scorer_card:
    """What each scorer is, and how well it agrees with people: results/tables/scorer_card.md."""
    input:
        unpack(reads("scorer_card")),
    output:
        **writes("scorer_card", but="page"),
        page=report(
            path("scorer_card", "page"),
            caption="../report/scorer_card.rst",
            category="Scorers",
            labels={"table": "agreement with people"},
        ),
    log:
        layout.log("scorer_card"),
    benchmark:
        layout.benchmark("scorer_card")
    wildcard_constraints:
        part="|paper_|laboratory_",
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    message:
        "Tabulate the scorers' agreement with people"
    shell:
        "python -m programs.scorer_card --job {input.job} "
        "--validations {input.validations} --csv {output.csv} --markdown {output.markdown} "
        "--latex {output.latex} --page {output.page} "
        "--provenance {output.provenance} > {log} 2>&1"
