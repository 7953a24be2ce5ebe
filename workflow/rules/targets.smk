# Named targets: fig_NAME and table_NAME for each entry of `figures` and `tables`, `paper` (alias
# `paper_small`) for those of the paper, and `laboratory` for those of the studies.
#
# in   the record of every job that a target needs, so that a missing output is made again
# out  results/complete/{target}.provenance.json


localrules:
    complete,


rule complete:
    input:
        unpack(reads("complete")),
    output:
        **writes("complete"),
    log:
        layout.log("complete"),
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        failures=locate(layout.FAILURES),
    message:
        "Look for cells that failed"
    shell:
        "python -m programs.complete --job {input.job} --failures {params.failures} "
        "--provenance {output.provenance} > {log} 2>&1"


rule paper:
    """Every experiment of the paper, at the size that the config's budget gives."""
    input:
        completed("paper"),


rule paper_small:
    """The same: every experiment of the paper; small unless another config file is chosen."""
    input:
        completed("paper"),


rule laboratory:
    """Every study: which direction, operation, layer, dose and pair work, and what they cost."""
    input:
        completed("laboratory"),


for section in ("figures", "tables"):
    for name, about in config[section].items():
        target = target_of(section, name)

        rule:
            name:
                target
            input:
                completed(target),

        labels = [about[key] for key in ("paper", "study") if key in about]
        where = f" ({labels[0]})" if labels else ""
        # A workflow that uses this one as a module may rename its rules.
        rule_name = internals.rule_name(workflow, target)
        workflow.get_rule(rule_name).docstring = f"{about['title']}{where}"
