# Norms of the residual stream at every layer of a model, which doses are shares of.
#
# in   results/models/{model}/, results/datasets/
# out  results/models/{model}.stream_norms.csv


rule stream_norms:
    input:
        unpack(reads("stream_norms")),
    output:
        **writes("stream_norms"),
    log:
        layout.log("stream_norms"),
    benchmark:
        layout.benchmark("stream_norms")
    conda:
        CONDA
    threads: config["compute"]["threads"]
    resources:
        mem_mb=memory("stream_norms"),
        runtime=minutes("stream_norms"),
        gpu=lambda wc: gpus(wc.model),
    message:
        "Measure the norms of {wildcards.model}'s residual stream"
    shell:
        "python -m programs.stream_norms --job {input.job} --model {input.model} --verified {input.verified} --texts {input.texts} "
        "--norms {output.norms} --provenance {output.provenance} > {log} 2>&1"
