# Models, scorers and data become local, checked and in one form (paper, section 4: settings).
#
# Where that takes a GPU, a model is verified by a rule of its own; else when it is made ready.
#
# in   config: sources, models, datasets
# out  results/sources/{source}/, results/models/{model}/, results/models/{model}.verification.json,
#      results/datasets/{dataset}.parquet, and results/overlaps/, what experiments share with what
#      their scorers are fitted on


localrules:
    fetch,


rule fetch:
    input:
        path_source,
    output:
        folder=directory("results/sources/{source}"),
        provenance="results/sources/{source}.provenance.json",
    log:
        "results/logs/fetch/{source}.log",
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        spec=lambda wc: PLAN.source(wc.source).spec,
        code=lambda wc: PLAN.source(wc.source).code,
    message:
        "Fetch source {wildcards.source}"
    shell:
        "set -o pipefail; python -m programs.fetch --spec {params.spec:q} --code {params.code} "
        "--folder {output.folder} --provenance {output.provenance} 2>&1 | tee {log}"


rule model:
    input:
        source=model_source,
    output:
        folder=directory("results/models/{model}"),
        provenance="results/models/{model}.provenance.json",
    log:
        "results/logs/model/{model}.log",
    conda:
        CONDA
    resources:
        mem_mb=memory("model"),
        runtime=minutes("model"),
    params:
        spec=lambda wc: PLAN.model(wc.model).spec,
        code=lambda wc: PLAN.model(wc.model).code,
    message:
        "Make model {wildcards.model} ready"
    shell:
        "python -m programs.model --spec {params.spec:q} --code {params.code} "
        "--source {input.source} --folder {output.folder} "
        "--provenance {output.provenance} > {log} 2>&1"


rule verification:
    input:
        model="results/models/{model}",
    output:
        record="results/models/{model}.verification.json",
        provenance="results/models/{model}.verification.provenance.json",
    log:
        "results/logs/verification/{model}.log",
    conda:
        CONDA
    resources:
        mem_mb=memory("verification"),
        runtime=minutes("verification"),
        gpu=lambda wc: gpus(wc.model),
    params:
        spec=lambda wc: PLAN.verification(wc.model)["verification"].spec,
        code=lambda wc: PLAN.verification(wc.model)["verification"].code,
    message:
        "Verify that {wildcards.model} is steered right"
    shell:
        "python -m programs.verification --spec {params.spec:q} --code {params.code} "
        "--model {input.model} --record {output.record} "
        "--provenance {output.provenance} > {log} 2>&1"


rule batch_shape:
    input:
        model="results/models/{model}",
    output:
        shape="results/models/{model}.batch.json",
        provenance="results/models/{model}.batch.provenance.json",
    log:
        "results/logs/batch_shape/{model}.log",
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
        gpu=lambda wc: gpus(wc.model),
    params:
        spec=lambda wc: PLAN.batch_shape(wc.model)["shape"].spec,
        code=lambda wc: PLAN.batch_shape(wc.model)["shape"].code,
    message:
        "Propose the rows of a batch for {wildcards.model}"
    shell:
        "python -m programs.batch_shape --spec {params.spec:q} --code {params.code} "
        "--model {input.model} --shape {output.shape} "
        "--provenance {output.provenance} > {log} 2>&1"


rule dataset:
    input:
        source=dataset_source,
        punkt=dataset_punkt,
    output:
        table="results/datasets/{dataset}.parquet",
        provenance="results/datasets/{dataset}.provenance.json",
    log:
        "results/logs/dataset/{dataset}.log",
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        spec=lambda wc: PLAN.dataset(wc.dataset).spec,
        code=lambda wc: PLAN.dataset(wc.dataset).code,
    message:
        "Prepare dataset {wildcards.dataset}"
    shell:
        "python -m programs.dataset --spec {params.spec:q} --code {params.code} "
        "--source {input.source:q} --punkt {input.punkt:q} --table {output.table} "
        "--provenance {output.provenance} > {log} 2>&1"


rule overlaps:
    input:
        datasets=overlaps_datasets,
    output:
        record="results/overlaps/{section}/{name}.json",
        provenance="results/overlaps/{section}/{name}.provenance.json",
    log:
        "results/logs/overlaps/{section}/{name}.log",
    wildcard_constraints:
        section="experiments|scorers",
        name=r"[a-z0-9-]+",
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        spec=lambda wc: PLAN.overlaps(wc.section, wc.name).spec,
        code=lambda wc: PLAN.overlaps(wc.section, wc.name).code,
    message:
        "Compare {wildcards.section}.{wildcards.name} with what scorers are fitted on"
    shell:
        "python -m programs.overlaps --spec {params.spec:q} --code {params.code} "
        "--datasets {input.datasets} --record {output.record} "
        "--provenance {output.provenance} > {log} 2>&1"
