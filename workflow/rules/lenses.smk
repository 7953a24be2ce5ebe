# Interpretation of vectors: logit lens by layer, cosines between layers and vectors; and what can be
# known of contrast pairs before sampling.
#
# in   results/models/{model}/, results/vectors/{model}/
# out  results/lenses/{model}/{lens}/tokens.parquet and cosines.parquet
#      results/pair_checks/{model}/{pair_check}.parquet


rule lens:
    input:
        unpack(reads("lens")),
    output:
        **writes("lens"),
    log:
        layout.log("lens"),
    benchmark:
        layout.benchmark("lens")
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory("lens"),
        runtime=minutes("lens"),
        gpu=lambda wc: gpus(wc.model),
    message:
        "Read the vectors of {wildcards.lens} through {wildcards.model}'s unembedding"
    shell:
        "python -m programs.lens --job {input.job} --model {input.model} --verified {input.verified} --vectors {input.vectors} "
        "--table {output.tokens} --cosines {output.cosines} "
        "--provenance {output.provenance} > {log} 2>&1"


rule pair_check:
    input:
        unpack(reads("pair_check")),
    output:
        **writes("pair_check"),
    log:
        layout.log("pair_check"),
    benchmark:
        layout.benchmark("pair_check")
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory("pair_check"),
        runtime=minutes("pair_check"),
        gpu=lambda wc: gpus(wc.model),
    message:
        "Examine the pairs of {wildcards.pair_check} on {wildcards.model}"
    shell:
        "python -m programs.pair_check --job {input.job} --model {input.model} --verified {input.verified} "
        "--table {output.table} --provenance {output.provenance} > {log} 2>&1"
