# Models, scorers and data become local, checked and in one form (paper, section 4: settings).
#
# in   config: sources, models, datasets
# out  results/sources/{source}/, results/models/{model}/, results/datasets/{dataset}.parquet


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
