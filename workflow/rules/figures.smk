# One figure for each entry of the config's `figures`.
#
# in   results/tables/{model}/{experiment}.parquet, or results/vectors/{model}/{vector}/norms.csv
# out  results/figures/{figure}.png and .svg


rule figure:
    input:
        tables=figure_tables,
    output:
        png=report(
            "results/figures/{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        svg="results/figures/{figure}.svg",
        provenance="results/figures/{figure}.provenance.json",
    log:
        "results/logs/figure/{figure}.log",
    conda:
        CONDA
    params:
        spec=lambda wc: PLAN.figure(wc.figure).spec,
        code=lambda wc: PLAN.figure(wc.figure).code,
    message:
        "Draw {wildcards.figure}"
    shell:
        "python -m programs.figure --spec {params.spec:q} --code {params.code} "
        "--tables {input.tables} --png {output.png} --svg {output.svg} "
        "--provenance {output.provenance} > {log} 2>&1"
