# Steering vectors at every layer, and their norms (paper, Algorithm 1, step 2, and section 3).
#
# in   results/activations/{model}/{contrast}/, vectors that are combined, or a file of the user's
# out  results/vectors/{model}/{vector}/vector.safetensors and norms.csv


for model in config["models"]:

    rule:
        name:
            f"vectors_{model.replace('-', '_')}"
        input:
            unpack(reads("vectors", model=model)),
        output:
            **writes("vectors", model=model, layers=config["models"][model]["layers"]),
        log:
            layout.log("vectors", model=model),
        benchmark:
            layout.benchmark("vectors", model=model)
        group:
            "vectors"
        conda:
            CONDA
        resources:
            mem_mb=memory("small"),
            runtime=minutes("small"),
        message:
            "Make vector {wildcards.vector}"
        shell:
            "python -m programs.vectors --job {input.job} "
            "--activations {input.activations} --file {input.file:q} --vectors {input.vectors} "
            "--vector {output.vector} --norms {output.norms} "
            "--provenance {output.provenance} > {log} 2>&1"
