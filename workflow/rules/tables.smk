# One tidy table for each experiment and model, with intervals.
#
# in   results/completions/ and results/scores/, or results/logprobs/
# out  results/tables/{model}/{experiment}.csv and .parquet


rule table:
    input:
        cells=table_cells,
        scores=table_scores,
    output:
        csv="results/tables/{model}/{experiment}.csv",
        parquet="results/tables/{model}/{experiment}.parquet",
        provenance="results/tables/{model}/{experiment}.provenance.json",
    log:
        "results/logs/table/{model}/{experiment}.log",
    conda:
        CONDA
    params:
        spec=lambda wc: PLAN.table(wc.model, wc.experiment).spec,
        code=lambda wc: PLAN.table(wc.model, wc.experiment).code,
    message:
        "Summarise {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.table --spec {params.spec:q} --code {params.code} "
        "--cells {input.cells} --scores {input.scores} "
        "--csv {output.csv} --parquet {output.parquet} "
        "--provenance {output.provenance} > {log} 2>&1"
