# What is measured under steering and without: completions (paper, section 4; Algorithm 1, step 3),
# log-probabilities of given texts (perplexity and off-target experiments), and how far next-token
# distributions move (random control, next-token effects).
#
# in   results/models/{model}/, results/vectors/{model}/, results/datasets/, results/choices/
# out  results/{measure}/{model}/{experiment}.parquet, by way of the cell store
#
# One job for an experiment on a model; or, with `shards`, several that fill the store, and one that
# gathers their cells into the same table.

for measure in MEASURES:

    rule:
        name:
            measure
        input:
            model="results/models/{model}",
            verified=model_verification,
            prompts=experiment_prompts,
            # It only has to be there: what it says changes no number.
            overlaps=ancient(experiment_overlaps),
            vectors=experiment_vectors,
            choice=experiment_choice,
            shape=experiment_shape,
        output:
            table=f"results/{measure}/{{model}}/{{experiment}}.parquet",
            provenance=f"results/{measure}/{{model}}/{{experiment}}.provenance.json",
        log:
            f"results/logs/{measure}/{{model}}/{{experiment}}.log",
        wildcard_constraints:
            experiment=experiments(measure, sharded=False),
        conda:
            CONDA
        threads: config["compute"]["threads"]
        resources:
            mem_mb=memory("cells"),
            runtime=minutes("cells"),
            gpu=lambda wc: gpus(wc.model),
        params:
            spec=lambda wc: PLAN.cells(wc.model, wc.experiment).spec,
            code=lambda wc: PLAN.cells(wc.model, wc.experiment).code,
            store="results/store",
            failures=f"results/failures/{measure}/{{model}}/{{experiment}}.json",
            attempt=attempt_of(f"results/failures/{measure}/{{model}}/{{experiment}}.json"),
        message:
            "Measure {rule} of {wildcards.experiment} on {wildcards.model}"
        shell:
            "python -m programs.cells --spec {params.spec:q} --code {params.code} "
            "--model {input.model} --prompts {input.prompts} --vectors {input.vectors} "
            "--choice {input.choice} --shape {input.shape} --store {params.store} "
            "--failures {params.failures} --attempt {params.attempt} "
            "--table {output.table} --provenance {output.provenance} > {log} 2>&1"

    rule:
        name:
            f"{measure}_shard"
        input:
            model="results/models/{model}",
            verified=model_verification,
            prompts=experiment_prompts,
            # It only has to be there: what it says changes no number.
            overlaps=ancient(experiment_overlaps),
            vectors=experiment_vectors,
            choice=experiment_choice,
            shape=experiment_shape,
        output:
            provenance=f"results/{measure}/{{model}}/{{experiment}}/shard_{{shard}}_of_{{shards}}.provenance.json",
        log:
            f"results/logs/{measure}/{{model}}/{{experiment}}_{{shard}}_of_{{shards}}.log",
        wildcard_constraints:
            experiment=experiments(measure, sharded=True),
        conda:
            CONDA
        threads: config["compute"]["threads"]
        resources:
            mem_mb=memory("cells"),
            runtime=minutes("cells"),
            gpu=lambda wc: gpus(wc.model),
        params:
            spec=lambda wc: PLAN.cells(wc.model, wc.experiment).spec,
            code=lambda wc: PLAN.cells(wc.model, wc.experiment).code,
            store="results/store",
            failures=f"results/failures/{measure}/{{model}}/{{experiment}}_{{shard}}_of_{{shards}}.json",
            attempt=attempt_of(
                f"results/failures/{measure}/{{model}}/{{experiment}}_{{shard}}_of_{{shards}}.json"
            ),
        message:
            "Shard {wildcards.shard} of {wildcards.experiment} on {wildcards.model} ({rule})"
        shell:
            "python -m programs.cells --spec {params.spec:q} --code {params.code} "
            "--model {input.model} --prompts {input.prompts} --vectors {input.vectors} "
            "--choice {input.choice} --shape {input.shape} --store {params.store} "
            "--shard {wildcards.shard}/{wildcards.shards} "
            "--failures {params.failures} --attempt {params.attempt} "
            "--provenance {output.provenance} > {log} 2>&1"

    rule:
        name:
            f"{measure}_gather"
        input:
            model="results/models/{model}",
            verified=model_verification,
            prompts=experiment_prompts,
            # It only has to be there: what it says changes no number.
            overlaps=ancient(experiment_overlaps),
            vectors=experiment_vectors,
            choice=experiment_choice,
            shape=experiment_shape,
            shards=experiment_shards(measure),
        output:
            table=f"results/{measure}/{{model}}/{{experiment}}.parquet",
            provenance=f"results/{measure}/{{model}}/{{experiment}}.provenance.json",
        log:
            f"results/logs/{measure}/{{model}}/{{experiment}}.log",
        wildcard_constraints:
            experiment=experiments(measure, sharded=True),
        conda:
            CONDA
        resources:
            mem_mb=memory("gather"),
            runtime=minutes("gather"),
        params:
            spec=lambda wc: PLAN.cells(wc.model, wc.experiment).spec,
            code=lambda wc: PLAN.cells(wc.model, wc.experiment).code,
            store="results/store",
        message:
            "Gather the shards of {wildcards.experiment} on {wildcards.model} ({rule})"
        shell:
            "python -m programs.cells --spec {params.spec:q} --code {params.code} "
            "--model {input.model} --prompts {input.prompts} --vectors {input.vectors} "
            "--choice {input.choice} --shape {input.shape} --store {params.store} "
            "--shard none --shards {input.shards} "
            "--table {output.table} --provenance {output.provenance} > {log} 2>&1"
