"""Commands about the workflow of this folder: `check`, `plan`, `why`, `store` and `verify`."""

from pathlib import Path
from typing import Annotated

import typer

from actadd.base.errors import UserError
from actadd.cli.arguments import Configs
from actadd.cli.commands import app
from actadd.pipeline import layout


@app.command(epilog="Examples:\n\nactadd check\n\nactadd check config/models_offline.yaml")
def check(configs: Configs = None) -> None:
    """Check the config as the workflow would, without running anything."""
    from actadd.cli.project import counts

    typer.echo(counts(configs))


@app.command(
    "plan",
    epilog="Examples:\n\nactadd plan\n\nactadd plan --paper\n\nactadd plan --laboratory",
)
def show_plan(
    configs: Configs = None,
    paper: Annotated[
        bool, typer.Option(help="The paper's experiments (snakemake paper), not the default ones.")
    ] = False,
    laboratory: Annotated[
        bool, typer.Option(help="The studies (snakemake laboratory), not the default experiments.")
    ] = False,
) -> None:
    """Show what a run would compute: cells, forward passes, tokens, disk and time.

    The number of cells in the store is exact where model, vectors and prompts are made. Times are
    those that finished jobs took with the same model or scorer; without any, rough ones.
    """
    from actadd.cli import plan
    from actadd.cli.project import configured
    from actadd.pipeline.costs import Costs
    from actadd.pipeline.graph import Graph

    if paper and laboratory:
        raise UserError("--laboratory and --paper exclude each other; write one of them")
    costs = Costs(Graph(configured(configs), Path.cwd()))
    part = "paper" if paper else "laboratory" if laboratory else ""
    runs = plan.runs(costs.graph, part)
    forecasts = [plan.forecast(costs, model, name) for model, name in runs]
    plan.show(forecasts, plan.others(costs, part))


@app.command(
    "why",
    epilog="Examples:\n\nactadd why all\n\nactadd why fig_topic\n\n"
    "actadd why results/summaries/smollm2-135m/topic.csv",
)
def show_why(
    target: Annotated[
        str, typer.Argument(help="A target of snakemake, a path of results, or a job's name.")
    ],
    configs: Configs = None,
) -> None:
    """Show what made a target outdated, and what a run would compute of it.

    For each outdated job: the config keys and packages that changed, with their old and new values,
    the files of its code that changed since the commit that made its outputs, and the stages above
    that differ. The run itself says the same of each job.
    """
    from actadd.cli import why
    from actadd.cli.project import configured
    from actadd.pipeline.costs import Costs
    from actadd.pipeline.graph import Graph

    costs = Costs(Graph(configured(configs), Path.cwd()))
    why.show(target, why.outdated(costs, target))


@app.command(
    "store",
    epilog="Examples:\n\nactadd store\n\nactadd store --prune --dry-run\n\n"
    "actadd store --prune config/models_offline.yaml\n\nactadd store --forget topic",
)
def show_store(
    configs: Configs = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove cells that nothing uses.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say only what --prune would remove.")
    ] = False,
    forget: Annotated[
        str | None,
        typer.Option(
            metavar="EXPERIMENT",
            help="Remove the cells and tables of an experiment: the next run computes them anew.",
        ),
    ] = None,
) -> None:
    """Show how large the cell store is; --prune removes what no table and no config needs.

    Whatever is in the store is not computed again, snakemake --forcerun or not; --forget is the way
    to have it computed.
    """
    from actadd.cli import store
    from actadd.cli.project import configured
    from actadd.pipeline.graph import Graph

    folder = Path(layout.STORE)
    if dry_run and not prune:
        raise UserError("--dry-run: it says what --prune would remove; write both")
    if forget is not None:
        removed = store.forget(Graph(configured(configs), Path.cwd()), folder, forget)
        typer.echo(f"{forget}: {len(removed)} files removed; the next run computes its cells again")
    if prune:
        plan = Graph(configured(configs), Path.cwd())
        store.show_pruned(store.prune(plan, folder, dry_run), dry_run)
    store.show(folder)


@app.command(
    "verify", epilog="Examples:\n\nactadd verify\n\nactadd verify config/models_offline.yaml"
)
def verify_results(configs: Configs = None) -> None:
    """Check that everything in results is there and as it was made, byte by byte.

    Names what is not and the command that makes it anew; then the exit code is 1. Logs and a
    server's answers have no sums, and are not checked.
    """
    from actadd.cli import verify
    from actadd.cli.project import configured
    from actadd.pipeline.graph import Graph

    checked = verify.check(Path(layout.RESULTS))
    verify.show(checked, Graph(configured(configs), Path.cwd()), configs or [])
    raise typer.Exit(bool(checked.faults))
