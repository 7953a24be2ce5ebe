# Log-probabilities of given texts under steering (paper, perplexity and off-target experiments).
#
# in   results/models/{model}/, results/vectors/{model}/, results/datasets/, results/choices/
# out  results/logprobs/{model}/{experiment}.parquet, by way of the cell store


rule logprobs:
    input:
        model="results/models/{model}",
        prompts=experiment_prompts,
        vectors=experiment_vectors,
        choice=experiment_choice,
        shape=experiment_shape,
    output:
        logprobs="results/logprobs/{model}/{experiment}.parquet",
        provenance="results/logprobs/{model}/{experiment}.provenance.json",
    log:
        "results/logs/logprobs/{model}/{experiment}.log",
    wildcard_constraints:
        experiment=experiments("logprobs"),
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
        "Measure log-probabilities of {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.logprobs --spec {params.spec:q} --code {params.code} "
        "--model {input.model} --prompts {input.prompts} --vectors {input.vectors} "
        "--choice {input.choice} --shape {input.shape} --store {params.store} --logprobs {output.logprobs} "
        "--provenance {output.provenance} > {log} 2>&1"
