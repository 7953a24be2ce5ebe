# One figure for each entry of the config's `figures`, one table for each of its `tables`.
#
# in   what the kind reads, see actadd/results/displays/kinds.py: summaries, cells, norms, lenses, timings
# out  results/figures/{display}.png, .svg and .pdf, results/tables/{display}.csv, .md, .tex and .html;
#      captions for the report, as .rst


rule figure:
    input:
        sources=display_inputs("figures"),
    output:
        png=report(
            "results/figures/{display}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels=display_labels("figures"),
        ),
        caption="results/figures/{display}.rst",
        svg="results/figures/{display}.svg",
        pdf="results/figures/{display}.pdf",
        provenance="results/figures/{display}.provenance.json",
    log:
        "results/logs/figure/{display}.log",
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        spec=lambda wc: PLAN.display("figures", wc.display).spec,
        code=lambda wc: PLAN.display("figures", wc.display).code,
    message:
        "Draw {wildcards.display}"
    shell:
        "python -m programs.figure --spec {params.spec:q} --code {params.code} "
        "--sources {input.sources} --png {output.png} --svg {output.svg} "
        "--pdf {output.pdf} --caption {output.caption} "
        "--provenance {output.provenance} > {log} 2>&1"


rule table:
    input:
        sources=display_inputs("tables"),
    output:
        csv="results/tables/{display}.csv",
        page=report(
            "results/tables/{display}.html",
            caption="../report/table.rst",
            category=display_category,
            labels=display_labels("tables"),
        ),
        caption="results/tables/{display}.rst",
        markdown="results/tables/{display}.md",
        latex="results/tables/{display}.tex",
        provenance="results/tables/{display}.provenance.json",
    log:
        "results/logs/table/{display}.log",
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        spec=lambda wc: PLAN.display("tables", wc.display).spec,
        code=lambda wc: PLAN.display("tables", wc.display).code,
    message:
        "Tabulate {wildcards.display}"
    shell:
        "python -m programs.table --spec {params.spec:q} --code {params.code} "
        "--sources {input.sources} --csv {output.csv} --markdown {output.markdown} "
        "--latex {output.latex} --page {output.page} --caption {output.caption} "
        "--provenance {output.provenance} > {log} 2>&1"


rule comparison:
    input:
        published=config["comparison"].get("published", []),
        summaries=list(PLAN.comparison_summaries()),
        norms=list(PLAN.comparison_norms()),
    output:
        parquet="results/comparison.parquet",
        csv="results/comparison.csv",
        markdown="results/comparison.md",
        latex="results/comparison.tex",
        provenance="results/comparison.provenance.json",
    log:
        "results/logs/comparison.log",
    conda:
        CONDA
    resources:
        mem_mb=memory("small"),
        runtime=minutes("small"),
    params:
        spec=lambda wc: PLAN.comparison().spec,
        code=lambda wc: PLAN.comparison().code,
    message:
        "Compare with the published numbers"
    shell:
        "python -m programs.comparison --spec {params.spec:q} --code {params.code} "
        "--published {input.published:q} --summaries {input.summaries} --norms {input.norms} --csv {output.csv} "
        "--markdown {output.markdown} --latex {output.latex} --parquet {output.parquet} "
        "--provenance {output.provenance} > {log} 2>&1"
