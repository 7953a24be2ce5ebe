# The explorer, a page to read completions, and the first page of Snakemake's report.
#
# in   results/completions/, results/logprobs/, results/scores/, results/summaries/
# out  results/explorer.html and results/about.rst; for the paper's experiments
#      results/paper_explorer.html and results/paper_about.rst, for the studies laboratory_


report: "../report/workflow.rst"


rule explorer_page:
    input:
        unpack(reads("explorer_page")),
    output:
        # Beside the report, not in it: browsers do not open a page of this size inside another.
        **writes("explorer_page"),
    log:
        layout.log("explorer_page"),
    benchmark:
        layout.benchmark("explorer_page")
    wildcard_constraints:
        part="|paper_|laboratory_",
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    message:
        "Make the page to read completions by"
    shell:
        "python -m programs.explorer --job {input.job} "
        "--completions {input.completions} --tokens {input.tokens} --scores {input.scores} --summaries {input.summaries} "
        "--verifications {input.verifications} "
        "--page {output.page} --about {output.about} "
        "--provenance {output.provenance} > {log} 2>&1"


rule explorer:
    """A page to read all completions by: results/explorer.html."""
    input:
        completed("explorer"),


rule paper_explorer:
    """The same for the paper's experiments: results/paper_explorer.html."""
    input:
        completed("paper_explorer"),


rule laboratory_explorer:
    """The same for the studies: results/laboratory_explorer.html."""
    input:
        completed("laboratory_explorer"),
