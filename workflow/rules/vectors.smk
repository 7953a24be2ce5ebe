# Steering vectors at every layer, and their norms (paper, Algorithm 1, step 2, and section 3).
#
# in   results/activations/{model}/{contrast}/, or a file of the user's
# out  results/vectors/{model}/{vector}/vector.safetensors and norms.csv

for model in config["models"]:

    rule:
        name:
            f"vectors_{model.replace('-', '_')}"
        input:
            activations=lambda wc, model=model: layer_files(
                f"results/activations/{model}/{PLAN.contrast(wc.vector)}", model
            ),
            file=vector_file,
        output:
            vector=f"results/vectors/{model}/{{vector}}/vector.safetensors",
            norms=f"results/vectors/{model}/{{vector}}/norms.csv",
            provenance=f"results/vectors/{model}/{{vector}}/provenance.json",
        log:
            f"results/logs/vectors/{model}/{{vector}}.log",
        group:
            "vectors"
        conda:
            CONDA
        resources:
            mem_mb=memory("small"),
            runtime=minutes("small"),
        params:
            spec=lambda wc, model=model: PLAN.vectors(model, wc.vector).spec,
            code=lambda wc, model=model: PLAN.vectors(model, wc.vector).code,
        message:
            "Make vector {wildcards.vector}"
        shell:
            "set -o pipefail; python -m programs.vectors --spec {params.spec:q} --code {params.code} "
            "--activations {input.activations} --file {input.file:q} "
            "--vector {output.vector} --norms {output.norms} "
            "--provenance {output.provenance} 2>&1 | tee {log}"
