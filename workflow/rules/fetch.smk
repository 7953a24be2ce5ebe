# Fetch, check and convert models, scorers and data (paper, section 4: settings).
#
# A model is verified when it is prepared, or by a separate rule if that takes a GPU.
#
# in   config: sources, models, datasets
# out  results/sources/{source}/, results/models/{model}/, results/models/{model}.verification.json,
#      results/datasets/{dataset}.parquet, and results/overlaps/, the texts that experiments share
#      with the data that their scorers are fitted on


localrules:
    fetch,


rule fetch:
    input:
        unpack(reads("fetch")),
    output:
        **writes("fetch"),
    log:
        layout.log("fetch"),
    benchmark:
        layout.benchmark("fetch")
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    message:
        "Fetch source {wildcards.source}"
    shell:
        "python -m programs.fetch --job {input.job} --folder {output.folder} "
        "--provenance {output.provenance} > {log} 2>&1"


rule model:
    input:
        unpack(reads("model")),
    output:
        **writes("model"),
    log:
        layout.log("model"),
    benchmark:
        layout.benchmark("model")
    conda:
        CONDA
    resources:
        mem_mb=memory("model"),
        runtime=minutes("model"),
    message:
        "Make model {wildcards.model} ready"
    shell:
        "python -m programs.model --job {input.job} --source {input.source} --folder {output.folder} "
        "--provenance {output.provenance} > {log} 2>&1"


rule verification:
    input:
        unpack(reads("verification")),
    output:
        **writes("verification"),
    log:
        layout.log("verification"),
    benchmark:
        layout.benchmark("verification")
    conda:
        CONDA
    resources:
        mem_mb=memory("verification"),
        runtime=minutes("verification"),
        gpu=lambda wc: gpus(wc.model),
    message:
        "Verify that {wildcards.model} is steered right"
    shell:
        "python -m programs.verification --job {input.job} --model {input.model} --record {output.record} "
        "--provenance {output.provenance} > {log} 2>&1"


rule batch_rows:
    input:
        unpack(reads("batch_rows")),
    output:
        **writes("batch_rows"),
    log:
        layout.log("batch_rows"),
    benchmark:
        layout.benchmark("batch_rows")
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
        gpu=lambda wc: gpus(wc.model),
    message:
        "Propose the rows of a batch for {wildcards.model}"
    shell:
        "python -m programs.batch_rows --job {input.job} --model {input.model} --verified {input.verified} --rows {output.rows} "
        "--provenance {output.provenance} > {log} 2>&1"


rule dataset:
    input:
        unpack(reads("dataset")),
    output:
        **writes("dataset"),
    log:
        layout.log("dataset"),
    benchmark:
        layout.benchmark("dataset")
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    message:
        "Prepare dataset {wildcards.dataset}"
    shell:
        "python -m programs.dataset --job {input.job} "
        "--source {input.source:q} --punkt {input.punkt:q} --table {output.table} "
        "--provenance {output.provenance} > {log} 2>&1"


rule overlaps:
    input:
        unpack(reads("overlaps")),
    output:
        **writes("overlaps"),
    log:
        layout.log("overlaps"),
    benchmark:
        layout.benchmark("overlaps")
    wildcard_constraints:
        section="experiments|scorers",
        name=r"[a-z0-9-]+",
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    message:
        "Compare {wildcards.section}.{wildcards.name} with what scorers are fitted on"
    shell:
        "python -m programs.overlaps --job {input.job} --datasets {input.datasets} --record {output.record} "
        "--provenance {output.provenance} > {log} 2>&1"
