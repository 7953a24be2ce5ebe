# The residual stream of contrast prompts at every layer (paper, Algorithm 1, step 2).
#
# in   results/models/{model}/, a dataset of pairs if the vector names one
# out  results/activations/{model}/{contrast}/layer_{NN}.safetensors
#
# One pass yields every layer, so the outputs are all layers of the model. There is one rule for each
# model, since the number of output files cannot depend on a wildcard.


for model in config["models"]:

    rule:
        name:
            f"activations_{model.replace('-', '_')}"
        input:
            unpack(reads("activations", model=model)),
        output:
            **writes("activations", model=model, layers=config["models"][model]["layers"]),
        log:
            layout.log("activations", model=model),
        benchmark:
            layout.benchmark("activations", model=model)
        conda:
            CONDA
        threads: config["compute"]["threads"]
        resources:
            mem_mb=memory("activations", model=model),
            runtime=minutes("activations", model=model),
            gpu=gpus(model),
        message:
            "Cache the residual stream of {wildcards.vector} at every layer"
        shell:
            "python -m programs.activations --job {input.job} --model {input.model} --verified {input.verified} --pairs {input.pairs} "
            "--layers {output.layers} --provenance {output.provenance} > {log} 2>&1"
