# One tidy summary with intervals for each experiment and model, and the methods of a comparison at
# equal damage.
#
# in   results/completions/ and results/scores/, results/logprobs/ or results/divergence/
# out  results/summaries/{model}/{experiment}.csv and .parquet,
#      results/equal_damage/{model}/{method_comparison}/curves and readings, .csv and .parquet


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


rule equal_damage:
    input:
        unpack(reads("equal_damage")),
    output:
        **writes("equal_damage"),
    log:
        layout.log("equal_damage"),
    benchmark:
        layout.benchmark("equal_damage")
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    message:
        "Compare the methods of {wildcards.method_comparison} on {wildcards.model} at equal damage"
    shell:
        "python -m programs.equal_damage --job {input.job} --cells {input.cells} "
        "--scores {input.scores} --curves {output.curves} --curves_csv {output.curves_csv} "
        "--readings {output.readings} --readings_csv {output.readings_csv} "
        "--provenance {output.provenance} > {log} 2>&1"
