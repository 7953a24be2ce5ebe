# What an addition costs in time (paper, inference overhead).
#
# in   results/models/{subject}/, or nothing for a shape with random weights
# out  results/overhead/{overhead}/{subject}.parquet


rule overhead:
    input:
        model=overhead_model,
        verified=overhead_verification,
    output:
        times="results/overhead/{overhead}/{subject}.parquet",
        provenance="results/overhead/{overhead}/{subject}.provenance.json",
    log:
        "results/logs/overhead/{overhead}/{subject}.log",
    conda:
        CONDA
    # All cores, though the job uses compute.threads of them: nothing else may run beside it.
    threads: workflow.resource_settings.cores or 1
    resources:
        mem_mb=memory("overhead"),
        runtime=minutes("overhead"),
        gpu=lambda wc: gpus(wc.subject),
    params:
        spec=lambda wc: PLAN.overhead(wc.overhead, wc.subject).spec,
        code=lambda wc: PLAN.overhead(wc.overhead, wc.subject).code,
    message:
        "Time forward passes of {wildcards.subject}"
    shell:
        "python -m programs.overhead --spec {params.spec:q} --code {params.code} "
        "--model {input.model} --times {output.times} "
        "--provenance {output.provenance} > {log} 2>&1"
