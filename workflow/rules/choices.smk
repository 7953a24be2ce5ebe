# The choice of layer and coefficient on a development split (paper: section 4, hyperparameters).
#
# in   results/summaries/{model}/{sweep}.parquet
# out  results/choices/{model}/{experiment}.json


rule choice:
    input:
        unpack(reads("choice")),
    output:
        **writes("choice"),
    log:
        layout.log("choice"),
    benchmark:
        layout.benchmark("choice")
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    message:
        "Choose layer and coefficient for {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.choice --job {input.job} --tables {input.tables} --choice {output.choice} "
        "--provenance {output.provenance} > {log} 2>&1"
