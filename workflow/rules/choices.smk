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


# The thresholds of gates, with the rates of their errors on other texts.
#
# in   results/models/{model}/, results/vectors/{model}/, results/datasets/
# out  results/thresholds/{model}/{experiment}.json
rule thresholds:
    input:
        unpack(reads("thresholds")),
    output:
        **writes("thresholds"),
    log:
        layout.log("thresholds"),
    benchmark:
        layout.benchmark("thresholds")
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory("thresholds"),
        runtime=minutes("thresholds"),
        gpu=lambda wc: gpus(wc.model),
    message:
        "Choose thresholds of gates for {wildcards.experiment} on {wildcards.model}"
    shell:
        "python -m programs.thresholds --job {input.job} --model {input.model} --verified {input.verified} --texts {input.texts} "
        "--vectors {input.vectors} --thresholds {output.thresholds} "
        "--provenance {output.provenance} > {log} 2>&1"
