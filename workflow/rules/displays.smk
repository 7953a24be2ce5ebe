# One figure for each entry of the config's `figures`, one table for each of its `tables`.
#
# in   what the kind reads, see actadd/results/displays/kinds.py
# out  results/figures/{display}.png, .svg and .pdf, without title and caption; .captioned.png with both; .csv with
#      what is drawn; results/tables/{display}.csv, .md, .tex and .html; captions as .md, and for the report as .rst


rule figure:
    input:
        unpack(reads("figure")),
    output:
        **writes("figure", but="png"),
        png=report(
            path("figure", "png"),
            caption="../report/figure.rst",
            category="Figures",
            labels=display_labels("figures"),
        ),
    log:
        layout.log("figure"),
    benchmark:
        layout.benchmark("figure")
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        needs=needed,
    message:
        "Draw {wildcards.display}"
    shell:
        "python -m programs.figure --job {input.job} {params.needs} "
        "--png {output.png} --svg {output.svg} --pdf {output.pdf} --captioned {output.captioned} "
        "--csv {output.csv} --markdown {output.markdown} --caption {output.caption} --provenance {output.provenance} > {log} 2>&1"


rule table:
    input:
        unpack(reads("table")),
    output:
        **writes("table", but="page"),
        page=report(
            path("table", "page"),
            caption="../report/table.rst",
            category=display_category,
            labels=display_labels("tables"),
        ),
    log:
        layout.log("table"),
    benchmark:
        layout.benchmark("table")
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        needs=needed,
    message:
        "Tabulate {wildcards.display}"
    shell:
        "python -m programs.table --job {input.job} {params.needs} "
        "--csv {output.csv} --markdown {output.markdown} "
        "--latex {output.latex} --page {output.page} --caption {output.caption} "
        "--provenance {output.provenance} > {log} 2>&1"


rule comparison:
    """The published numbers and ours, row by row: results/comparison.csv."""
    input:
        unpack(reads("comparison")),
    output:
        **writes("comparison"),
    log:
        layout.log("comparison"),
    benchmark:
        layout.benchmark("comparison")
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    message:
        "Compare with the published numbers"
    shell:
        "python -m programs.comparison --job {input.job} --published {input.published:q} "
        "--summaries {input.summaries} --norms {input.norms} --csv {output.csv} "
        "--markdown {output.markdown} --latex {output.latex} --parquet {output.parquet} "
        "--provenance {output.provenance} > {log} 2>&1"
