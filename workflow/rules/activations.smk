# The residual stream of contrast prompts at every layer (paper, Algorithm 1, step 2).
#
# in   results/models/{model}/
# out  results/activations/{model}/{contrast}/layer_{NN}.safetensors
#
# One pass gives every layer, so the outputs are all layers of the model: one rule for each model,
# since an output's number of files cannot depend on a wildcard.

for model in config["models"]:

    rule:
        name:
            f"activations_{model.replace('-', '_')}"
        input:
            model=f"results/models/{model}",
            verified=verification(model),
        output:
            layers=layer_files(f"results/activations/{model}/{{vector}}", model),
            provenance=f"results/activations/{model}/{{vector}}/provenance.json",
        log:
            f"results/logs/activations/{model}/{{vector}}.log",
        conda:
            CONDA
        threads: config["compute"]["threads"]
        resources:
            mem_mb=memory("activations", model=model),
            runtime=minutes("activations", model=model),
            gpu=gpus(model),
        params:
            spec=lambda wc, model=model: PLAN.activations(model, wc.vector).spec,
            code=lambda wc, model=model: PLAN.activations(model, wc.vector).code,
        message:
            "Cache the residual stream of {wildcards.vector} at every layer"
        shell:
            "python -m programs.activations --spec {params.spec:q} --code {params.code} "
            "--model {input.model} --layers {output.layers} "
            "--provenance {output.provenance} > {log} 2>&1"
