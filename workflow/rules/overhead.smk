# What an addition costs in time (paper, inference overhead).
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
    # All cores, though the job uses compute.threads of them: nothing else may run beside it.
    threads: workflow.resource_settings.cores or 1
    resources:
        mem_mb=memory("overhead"),
        runtime=minutes("overhead"),
        gpu=lambda wc: gpus(wc.subject),
    message:
        "Time forward passes of {wildcards.subject}"
    shell:
        "python -m programs.overhead --job {input.job} --model {input.model} --times {output.times} "
        "--provenance {output.provenance} > {log} 2>&1"
