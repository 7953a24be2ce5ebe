# Scores of completions, one rule and one file for each scorer, and the scorers' own quality.
#
# in   results/completions/{model}/{experiment}.parquet, what a scorer needs
# out  results/scores/{model}/{experiment}/{scorer}.parquet, results/tables/scorer_card.csv, .md, .tex


# An experiment's shards are for what takes long: scorers by which a model judges.
ruleorder: scores_gather > scores


rule classifier:
    input:
        texts=classifier_texts,
    output:
        folder=directory("results/scorers/{scorer}"),
        provenance="results/scorers/{scorer}.provenance.json",
    log:
        "results/logs/classifier/{scorer}.log",
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        spec=lambda wc: PLAN.classifier(wc.scorer).spec,
        code=lambda wc: PLAN.classifier(wc.scorer).code,
    message:
        "Fit the classifier {wildcards.scorer}"
    shell:
        "python -m programs.classifier --spec {params.spec:q} --code {params.code} "
        "--texts {input.texts} --folder {output.folder} "
        "--provenance {output.provenance} > {log} 2>&1"


rule scores:
    input:
        completions="results/completions/{model}/{experiment}.parquet",
        overlaps=ancient(experiment_overlaps),
        needs=scorer_needs,
        shape=scorer_shape,
        verified=scorer_verification,
    output:
        scores="results/scores/{model}/{experiment}/{scorer}.parquet",
        provenance="results/scores/{model}/{experiment}/{scorer}.provenance.json",
    log:
        "results/logs/scores/{model}/{experiment}/{scorer}.log",
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory("scores"),
        runtime=minutes("scores"),
        gpu=scorer_gpus,
    params:
        spec=lambda wc: PLAN.scores(wc.model, wc.experiment, wc.scorer).spec,
        code=lambda wc: PLAN.scores(wc.model, wc.experiment, wc.scorer).code,
        store="results/store",
        failures="results/failures/scores/{model}/{experiment}/{scorer}.json",
        attempt=attempt_of("results/failures/scores/{model}/{experiment}/{scorer}.json"),
    message:
        "Score {wildcards.experiment} on {wildcards.model} with {wildcards.scorer}"
    shell:
        "python -m programs.scores --spec {params.spec:q} --code {params.code} "
        "--completions {input.completions} --needs {input.needs} --shape {input.shape} "
        "--store {params.store} --failures {params.failures} --attempt {params.attempt} "
        "--scores {output.scores} "
        "--provenance {output.provenance} > {log} 2>&1"


rule scores_shard:
    input:
        completions="results/completions/{model}/{experiment}.parquet",
        overlaps=ancient(experiment_overlaps),
        needs=scorer_needs,
        shape=scorer_shape,
        verified=scorer_verification,
    output:
        provenance="results/scores/{model}/{experiment}/{scorer}/shard_{shard}_of_{shards}.provenance.json",
    log:
        "results/logs/scores/{model}/{experiment}/{scorer}_{shard}_of_{shards}.log",
    wildcard_constraints:
        experiment=experiments("completions", sharded=True),
        scorer=judges(),
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory("scores"),
        runtime=minutes("scores"),
        gpu=scorer_gpus,
    params:
        spec=lambda wc: PLAN.scores(wc.model, wc.experiment, wc.scorer).spec,
        code=lambda wc: PLAN.scores(wc.model, wc.experiment, wc.scorer).code,
        store="results/store",
        failures="results/failures/scores/{model}/{experiment}/{scorer}_{shard}_of_{shards}.json",
        attempt=attempt_of(
            "results/failures/scores/{model}/{experiment}/{scorer}_{shard}_of_{shards}.json"
        ),
    message:
        "Shard {wildcards.shard} of {wildcards.scorer}'s scores of {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.scores --spec {params.spec:q} --code {params.code} "
        "--completions {input.completions} --needs {input.needs} --shape {input.shape} "
        "--store {params.store} --failures {params.failures} --attempt {params.attempt} "
        "--shard {wildcards.shard}/{wildcards.shards} "
        "--provenance {output.provenance} > {log} 2>&1"


rule scores_gather:
    input:
        completions="results/completions/{model}/{experiment}.parquet",
        overlaps=ancient(experiment_overlaps),
        needs=scorer_needs,
        shape=scorer_shape,
        verified=scorer_verification,
        shards=score_shards,
    output:
        scores="results/scores/{model}/{experiment}/{scorer}.parquet",
        provenance="results/scores/{model}/{experiment}/{scorer}.provenance.json",
    log:
        "results/logs/scores/{model}/{experiment}/{scorer}.log",
    wildcard_constraints:
        experiment=experiments("completions", sharded=True),
        scorer=judges(),
    conda:
        CONDA
    resources:
        mem_mb=memory("gather"),
        runtime=minutes("gather"),
    params:
        spec=lambda wc: PLAN.scores(wc.model, wc.experiment, wc.scorer).spec,
        code=lambda wc: PLAN.scores(wc.model, wc.experiment, wc.scorer).code,
        store="results/store",
    message:
        "Gather {wildcards.scorer}'s scores of {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.scores --spec {params.spec:q} --code {params.code} "
        "--completions {input.completions} --needs {input.needs} --shape {input.shape} "
        "--store {params.store} --shard none --shards {input.shards} "
        "--scores {output.scores} "
        "--provenance {output.provenance} > {log} 2>&1"


rule validation:
    input:
        texts=validation_texts,
        overlaps=ancient(scorer_overlaps),
        needs=scorer_needs,
        shape=scorer_shape,
        verified=scorer_verification,
    output:
        figures="results/validation/{scorer}.json",
        provenance="results/validation/{scorer}.provenance.json",
    log:
        "results/logs/validation/{scorer}.log",
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory("validation"),
        runtime=minutes("validation"),
        gpu=scorer_gpus,
    params:
        spec=lambda wc: PLAN.validation(wc.scorer).spec,
        code=lambda wc: PLAN.validation(wc.scorer).code,
    message:
        "Compare {wildcards.scorer} with human labels"
    shell:
        "python -m programs.validation --spec {params.spec:q} --code {params.code} "
        "--texts {input.texts} --needs {input.needs} --shape {input.shape} --figures {output.figures} "
        "--provenance {output.provenance} > {log} 2>&1"


rule scorer_card:
    input:
        validations=expand("results/validation/{scorer}.json", scorer=PLAN.validated_scorers()),
    output:
        csv="results/tables/scorer_card.csv",
        page=report(
            "results/tables/scorer_card.html",
            caption="../report/scorer_card.rst",
            category="Scorers",
            labels={"table": "agreement with people"},
        ),
        markdown="results/tables/scorer_card.md",
        latex="results/tables/scorer_card.tex",
        provenance="results/tables/scorer_card.provenance.json",
    log:
        "results/logs/scorer_card.log",
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        spec=PLAN.scorer_card().spec,
        code=PLAN.scorer_card().code,
    message:
        "Tabulate the scorers' agreement with people"
    shell:
        "python -m programs.scorer_card --spec {params.spec:q} --code {params.code} "
        "--validations {input.validations} --csv {output.csv} --markdown {output.markdown} "
        "--latex {output.latex} --page {output.page} "
        "--provenance {output.provenance} > {log} 2>&1"
