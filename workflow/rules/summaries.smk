# One tidy summary with intervals for each experiment and model.
#
# in   results/completions/ and results/scores/, or results/logprobs/
# out  results/summaries/{model}/{experiment}.csv and .parquet


rule summary:
    input:
        unpack(reads("summary")),
    output:
        **writes("summary"),
    log:
        layout.log("summary"),
    benchmark:
        layout.benchmark("summary")
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    message:
        "Summarise {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.summary --job {input.job} --cells {input.cells} --scores {input.scores} "
        "--csv {output.csv} --parquet {output.parquet} "
        "--provenance {output.provenance} > {log} 2>&1"
