# Interpretation of vectors: logit lens by layer, cosines between layers and vectors.
#
# in   results/models/{model}/, results/vectors/{model}/
# out  results/lenses/{model}/{lens}/tokens.parquet and cosines.parquet


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
        "python -m programs.lens --job {input.job} --model {input.model} --vectors {input.vectors} "
        "--table {output.tokens} --cosines {output.cosines} "
        "--provenance {output.provenance} > {log} 2>&1"
