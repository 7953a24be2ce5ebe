# The time that an addition costs (paper, inference overhead).
#
# in   results/models/{subject}/, or nothing for a shape with random weights
# out  results/overhead/{overhead}/{subject}.parquet


rule overhead:
    input:
        unpack(reads("overhead")),
    output:
        **writes("overhead"),
    log:
        layout.log("overhead"),
    benchmark:
        layout.benchmark("overhead")
    conda:
        CONDA
    # The job uses compute.threads cores; it reserves all, so that no other job disturbs the timings.
    threads: workflow.resource_settings.cores or 1
    resources:
        mem_mb=memory("overhead"),
        runtime=minutes("overhead"),
        gpu=lambda wc: gpus(wc.subject),
    message:
        "Time forward passes of {wildcards.subject}"
    shell:
        "python -m programs.overhead --job {input.job} --model {input.model} --verified {input.verified} --times {output.times} "
        "--provenance {output.provenance} > {log} 2>&1"
