# Steered and unsteered completions (paper, section 4; Algorithm 1, step 3).
#
# in   results/models/{model}/, results/vectors/{model}/, results/datasets/, results/choices/
# out  results/completions/{model}/{experiment}.parquet, by way of the cell store


rule completions_shard:
    input:
        model="results/models/{model}",
        prompts=experiment_prompts,
        vectors=experiment_vectors,
        choice=experiment_choice,
        shape=experiment_shape,
    output:
        provenance="results/completions/{model}/{experiment}/shard_{shard}_of_{shards}.provenance.json",
    log:
        "results/logs/completions/{model}/{experiment}_{shard}_of_{shards}.log",
    wildcard_constraints:
        experiment=experiments("completions"),
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        gpu=gpus(),
    params:
        spec=lambda wc: PLAN.cells(wc.model, wc.experiment).spec,
        code=lambda wc: PLAN.cells(wc.model, wc.experiment).code,
        store="results/store",
    message:
        "Complete {wildcards.experiment} on {wildcards.model}, shard {wildcards.shard}"
    shell:
        "python -m programs.completions --spec {params.spec:q} --code {params.code} "
        "--model {input.model} --prompts {input.prompts} --vectors {input.vectors} "
        "--choice {input.choice} --shape {input.shape} --store {params.store} "
        "--shard {wildcards.shard}/{wildcards.shards} "
        "--provenance {output.provenance} > {log} 2>&1"


rule completions:
    input:
        model="results/models/{model}",
        prompts=experiment_prompts,
        vectors=experiment_vectors,
        choice=experiment_choice,
        shape=experiment_shape,
        shards=experiment_shards,
    output:
        completions="results/completions/{model}/{experiment}.parquet",
        provenance="results/completions/{model}/{experiment}.provenance.json",
    log:
        "results/logs/completions/{model}/{experiment}.log",
    wildcard_constraints:
        experiment=experiments("completions"),
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        gpu=gpus(),
    params:
        spec=lambda wc: PLAN.cells(wc.model, wc.experiment).spec,
        code=lambda wc: PLAN.cells(wc.model, wc.experiment).code,
        store="results/store",
    message:
        "Complete {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.completions --spec {params.spec:q} --code {params.code} "
        "--model {input.model} --prompts {input.prompts} --vectors {input.vectors} "
        "--choice {input.choice} --shape {input.shape} --store {params.store} --completions {output.completions} "
        "--provenance {output.provenance} > {log} 2>&1"


rule choice:
    input:
        tables=choice_tables,
    output:
        choice="results/choices/{model}/{experiment}.json",
        provenance="results/choices/{model}/{experiment}.provenance.json",
    log:
        "results/logs/choice/{model}/{experiment}.log",
    conda:
        CONDA
    params:
        spec=lambda wc: PLAN.choice(wc.model, wc.experiment).spec,
        code=lambda wc: PLAN.choice(wc.model, wc.experiment).code,
    message:
        "Choose layer and coefficient for {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.choice --spec {params.spec:q} --code {params.code} "
        "--tables {input.tables} --choice {output.choice} "
        "--provenance {output.provenance} > {log} 2>&1"
