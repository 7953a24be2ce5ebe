# What is shown around: a page to read completions by, and the first page of Snakemake's report.
#
# in   results/completions/, results/scores/, results/summaries/
# out  results/explorer.html and results/about.rst; for the paper's experiments
#      results/paper_explorer.html and results/paper_about.rst

EXPLORED = {"": OWN_EXPERIMENTS, "paper_": PLAN.experiments_of(PAPER)}


report: "../report/workflow.rst"


rule explorer_page:
    input:
        unpack(lambda wc: explorer_inputs(EXPLORED[wc.part])),
    output:
        # Beside the report, not in it: browsers open no page of this size that lies in another.
        page="results/{part}explorer.html",
        about="results/{part}about.rst",
        provenance="results/{part}explorer.provenance.json",
    log:
        "results/logs/{part}explorer.log",
    wildcard_constraints:
        part="|".join(EXPLORED),
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        spec=lambda wc: PLAN.explorer(EXPLORED[wc.part]).spec,
        code=lambda wc: PLAN.explorer(EXPLORED[wc.part]).code,
    message:
        "Make the page to read completions by"
    shell:
        "python -m programs.explorer --spec {params.spec:q} --code {params.code} "
        "--completions {input.completions} --scores {input.scores} --summaries {input.summaries} "
        "--verifications {input.verifications} "
        "--page {output.page} --about {output.about} "
        "--provenance {output.provenance} > {log} 2>&1"


rule explorer:
    """A page to read all completions by: results/explorer.html."""
    input:
        with_intermediates([], EXPLORED[""]),
        "results/explorer.html",


rule paper_explorer:
    """The same for the paper's experiments: results/paper_explorer.html."""
    input:
        with_intermediates([], EXPLORED["paper_"]),
        "results/paper_explorer.html",
