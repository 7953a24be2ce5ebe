# How steering moves next-token distributions (paper, random control and next-token effects).
#
# in   results/models/{model}/, results/vectors/{model}/, results/datasets/, results/choices/
# out  results/divergence/{model}/{experiment}.parquet, by way of the cell store


rule divergence:
    input:
        model="results/models/{model}",
        prompts=experiment_prompts,
        vectors=experiment_vectors,
        choice=experiment_choice,
    output:
        divergence="results/divergence/{model}/{experiment}.parquet",
        provenance="results/divergence/{model}/{experiment}.provenance.json",
    log:
        "results/logs/divergence/{model}/{experiment}.log",
    wildcard_constraints:
        experiment=experiments("divergence"),
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
        "Measure the divergence of {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.divergence --spec {params.spec:q} --code {params.code} "
        "--model {input.model} --prompts {input.prompts} --vectors {input.vectors} "
        "--choice {input.choice} --store {params.store} --divergence {output.divergence} "
        "--provenance {output.provenance} > {log} 2>&1"
