# One tidy summary for each experiment and model, with intervals.
#
# in   results/completions/ and results/scores/, or results/logprobs/
# out  results/summaries/{model}/{experiment}.csv and .parquet


rule summary:
    input:
        cells=summary_cells,
        scores=summary_scores,
    output:
        csv="results/summaries/{model}/{experiment}.csv",
        parquet="results/summaries/{model}/{experiment}.parquet",
        provenance="results/summaries/{model}/{experiment}.provenance.json",
    log:
        "results/logs/summary/{model}/{experiment}.log",
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        spec=lambda wc: PLAN.summary(wc.model, wc.experiment).spec,
        code=lambda wc: PLAN.summary(wc.model, wc.experiment).code,
    message:
        "Summarise {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.summary --spec {params.spec:q} --code {params.code} "
        "--cells {input.cells} --scores {input.scores} "
        "--csv {output.csv} --parquet {output.parquet} "
        "--provenance {output.provenance} > {log} 2>&1"
