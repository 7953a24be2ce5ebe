# What is measured under steering and without: completions (paper, section 4; Algorithm 1, step 3),
# log-probabilities of given texts (perplexity and off-target experiments), and how far next-token
# distributions move (random control, next-token effects).
#
# in   results/models/{model}/, results/vectors/{model}/, results/datasets/, results/choices/
# out  results/{measure}/{model}/{experiment}.parquet, by way of the cell store
#
# One job for an experiment on a model; or, with `shards`, several that fill the store, and one that
# gathers their cells into the same table.


rule completions:
    input:
        unpack(reads("completions")),
    output:
        **writes("completions"),
    log:
        layout.log("completions"),
    benchmark:
        layout.benchmark("completions")
    wildcard_constraints:
        experiment=experiments("completions", sharded=False),
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory("cells"),
        runtime=minutes("cells"),
        gpu=lambda wc: gpus(wc.model),
    params:
        store=at(layout.STORE),
        failures=failures("completions"),
        shard="0/1",
    message:
        "Measure {rule} of {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.cells --job {input.job} --shard {params.shard} "
        "--model {input.model} --prompts {input.prompts} --vectors {input.vectors} "
        "--choice {input.choice} --shape {input.shape} --shards {input.shards} "
        "--store {params.store} --failures {params.failures} "
        "--table {output.table} --provenance {output.provenance} > {log} 2>&1"


use rule completions as completions_shard with:
    input:
        unpack(reads("completions_shard")),
    output:
        **writes("completions_shard"),
    log:
        layout.log("completions_shard"),
    benchmark:
        layout.benchmark("completions_shard")
    wildcard_constraints:
        experiment=experiments("completions", sharded=True),
    params:
        store=at(layout.STORE),
        failures=failures("completions_shard"),
        shard="{shard}/{shards}",
    message:
        "Shard {wildcards.shard} of {wildcards.experiment} on {wildcards.model} ({rule})"


use rule completions as completions_gather with:
    input:
        unpack(reads("completions_gather")),
    output:
        **writes("completions_gather"),
    log:
        layout.log("completions_gather"),
    benchmark:
        layout.benchmark("completions_gather")
    wildcard_constraints:
        experiment=experiments("completions", sharded=True),
    threads: 1
    resources:
        mem_mb=memory("gather"),
        runtime=minutes("gather"),
        gpu=0,
    params:
        store=at(layout.STORE),
        failures="",
        shard="none",
    message:
        "Gather the shards of {wildcards.experiment} on {wildcards.model} ({rule})"


use rule completions as logprobs with:
    input:
        unpack(reads("logprobs")),
    output:
        **writes("logprobs"),
    log:
        layout.log("logprobs"),
    benchmark:
        layout.benchmark("logprobs")
    wildcard_constraints:
        experiment=experiments("logprobs", sharded=False),
    params:
        store=at(layout.STORE),
        failures=failures("logprobs"),
        shard="0/1",


use rule completions as logprobs_shard with:
    input:
        unpack(reads("logprobs_shard")),
    output:
        **writes("logprobs_shard"),
    log:
        layout.log("logprobs_shard"),
    benchmark:
        layout.benchmark("logprobs_shard")
    wildcard_constraints:
        experiment=experiments("logprobs", sharded=True),
    params:
        store=at(layout.STORE),
        failures=failures("logprobs_shard"),
        shard="{shard}/{shards}",
    message:
        "Shard {wildcards.shard} of {wildcards.experiment} on {wildcards.model} ({rule})"


use rule completions as logprobs_gather with:
    input:
        unpack(reads("logprobs_gather")),
    output:
        **writes("logprobs_gather"),
    log:
        layout.log("logprobs_gather"),
    benchmark:
        layout.benchmark("logprobs_gather")
    wildcard_constraints:
        experiment=experiments("logprobs", sharded=True),
    threads: 1
    resources:
        mem_mb=memory("gather"),
        runtime=minutes("gather"),
        gpu=0,
    params:
        store=at(layout.STORE),
        failures="",
        shard="none",
    message:
        "Gather the shards of {wildcards.experiment} on {wildcards.model} ({rule})"


use rule completions as divergence with:
    input:
        unpack(reads("divergence")),
    output:
        **writes("divergence"),
    log:
        layout.log("divergence"),
    benchmark:
        layout.benchmark("divergence")
    wildcard_constraints:
        experiment=experiments("divergence", sharded=False),
    params:
        store=at(layout.STORE),
        failures=failures("divergence"),
        shard="0/1",


use rule completions as divergence_shard with:
    input:
        unpack(reads("divergence_shard")),
    output:
        **writes("divergence_shard"),
    log:
        layout.log("divergence_shard"),
    benchmark:
        layout.benchmark("divergence_shard")
    wildcard_constraints:
        experiment=experiments("divergence", sharded=True),
    params:
        store=at(layout.STORE),
        failures=failures("divergence_shard"),
        shard="{shard}/{shards}",
    message:
        "Shard {wildcards.shard} of {wildcards.experiment} on {wildcards.model} ({rule})"


use rule completions as divergence_gather with:
    input:
        unpack(reads("divergence_gather")),
    output:
        **writes("divergence_gather"),
    log:
        layout.log("divergence_gather"),
    benchmark:
        layout.benchmark("divergence_gather")
    wildcard_constraints:
        experiment=experiments("divergence", sharded=True),
    threads: 1
    resources:
        mem_mb=memory("gather"),
        runtime=minutes("gather"),
        gpu=0,
    params:
        store=at(layout.STORE),
        failures="",
        shard="none",
    message:
        "Gather the shards of {wildcards.experiment} on {wildcards.model} ({rule})"
