# Layer and coefficient, chosen on a development split (paper: section 4, hyperparameters).
#
# in   results/summaries/{model}/{sweep}.parquet
# out  results/choices/{model}/{experiment}.json


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
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        spec=lambda wc: PLAN.choice(wc.model, wc.experiment).spec,
        code=lambda wc: PLAN.choice(wc.model, wc.experiment).code,
    message:
        "Choose layer and coefficient for {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.choice --spec {params.spec:q} --code {params.code} "
        "--tables {input.tables} --choice {output.choice} "
        "--provenance {output.provenance} > {log} 2>&1"
