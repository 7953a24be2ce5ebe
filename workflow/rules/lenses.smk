# What vectors mean: logit lens by layer, cosines between layers and vectors.
#
# in   results/models/{model}/, results/vectors/{model}/
# out  results/lenses/{model}/{lens}/tokens.parquet and cosines.parquet


rule lens:
    input:
        model="results/models/{model}",
        verified=model_verification,
        vectors=lens_vectors,
    output:
        tokens="results/lenses/{model}/{lens}/tokens.parquet",
        cosines="results/lenses/{model}/{lens}/cosines.parquet",
        provenance="results/lenses/{model}/{lens}/provenance.json",
    log:
        "results/logs/lens/{model}/{lens}.log",
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory("lens"),
        runtime=minutes("lens"),
        gpu=lambda wc: gpus(wc.model),
    params:
        spec=lambda wc: PLAN.lens(wc.model, wc.lens).spec,
        code=lambda wc: PLAN.lens(wc.model, wc.lens).code,
    message:
        "Read the vectors of {wildcards.lens} through {wildcards.model}'s unembedding"
    shell:
        "python -m programs.lens --spec {params.spec:q} --code {params.code} "
        "--model {input.model} --vectors {input.vectors} "
        "--table {output.tokens} --cosines {output.cosines} "
        "--provenance {output.provenance} > {log} 2>&1"
