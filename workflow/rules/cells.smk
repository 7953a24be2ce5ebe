# Measurements with and without steering: completions (paper, section 4; Algorithm 1, step 3),
# log-probabilities of given texts (perplexity and off-target experiments), and the divergence of
# next-token distributions (random control, next-token effects).
#
# in   results/models/{model}/, results/vectors/{model}/, results/datasets/, results/choices/
# out  results/{measure}/{model}/{experiment}.parquet, through the cell store
#
# One job for an experiment on a model; or, with `shards`, several that compute cells, and one that
# gathers them into the same table.


rule cells:
    input:
        unpack(reads("cells")),
    output:
        **writes("cells"),
    log:
        layout.log("cells"),
    benchmark:
        layout.benchmark("cells")
    wildcard_constraints:
        measure=measures(sharded=False),
        experiment=experiments(sharded=False),
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory("cells"),
        runtime=minutes("cells"),
        gpu=lambda wc: gpus(wc.model),
    params:
        store=locate(layout.STORE),
        failures=failures("cells"),
        note=note("cells"),
        shard="0/1",
    message:
        "Measure {wildcards.measure} of {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.cells --job {input.job} --shard {params.shard} "
        "--model {input.model} --verified {input.verified} --prompts {input.prompts} --vectors {input.vectors} "
        "--norms {input.norms} --thresholds {input.thresholds} --choice {input.choice} --rows {input.rows} --shards {input.shards} "
        "--store {params.store} --failures {params.failures} --note {params.note} "
        "--table {output.table} --provenance {output.provenance} > {log} 2>&1"


use rule cells as cells_shard with:
    input:
        unpack(reads("cells_shard")),
    output:
        **writes("cells_shard"),
    log:
        layout.log("cells_shard"),
    benchmark:
        layout.benchmark("cells_shard")
    wildcard_constraints:
        measure=measures(sharded=True),
        experiment=experiments(sharded=True),
    params:
        store=locate(layout.STORE),
        failures=failures("cells_shard"),
        note=note("cells_shard"),
        shard="{shard}/{shards}",
    message:
        "Shard {wildcards.shard} of {wildcards.measure} of {wildcards.experiment} on {wildcards.model}"


use rule cells as cells_gather with:
    input:
        unpack(reads("cells_gather")),
    output:
        **writes("cells_gather"),
    log:
        layout.log("cells_gather"),
    benchmark:
        layout.benchmark("cells_gather")
    wildcard_constraints:
        measure=measures(sharded=True),
        experiment=experiments(sharded=True),
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
    message:
        "Gather {wildcards.measure} of {wildcards.experiment} on {wildcards.model} from its shards"
