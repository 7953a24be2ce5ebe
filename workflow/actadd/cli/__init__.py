"""The command line: `actadd COMMAND`, which `make env` installs beside the environment's Python.

One module for each command, with its work apart from its output. A command imports its modules when
it runs, so that `--help` and `check` load neither torch nor pandas.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from actadd.base.errors import UserError, print_anything
from actadd.cli.arguments import Configs, Results, Which, checked_text, finite, optional_text
from actadd.cli.commands import Commands, print_version
from actadd.engine.placement import Alignment
from actadd.pipeline import layout

# The library of the workflow in the current folder.
LOCAL = Path("workflow/actadd/__main__.py")


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Steer a language model by adding a vector to its residual stream, and look after the "
    "workflow that measures what that does.",
)


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=print_version, is_eager=True, help="Print the version, and end."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line, in a workflow's folder with that workflow's own library.

    Cells in the store are looked up by a digest of the code, so an installed library of another
    version would find none of them.
    """
    if LOCAL.is_file() and not LOCAL.samefile(Path(__file__).parents[1] / LOCAL.name):
        path = os.pathsep.join(filter(None, [str(LOCAL.parents[1]), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "actadd", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": path})
    print_anything()
    app(prog_name="actadd")


@app.command(
    "try",
    epilog="Examples:\n\n"
    'actadd try --positive Love --negative Hate --layer 6 --coefficient 5 "I hate you because"\n\n'
    "actadd try --vector love-hate --model stories15m --layer 1 --coefficient -4 "
    '"Tom walked to school and on the way he"',
)
def try_out(
    prompt: Annotated[
        str, typer.Argument(callback=checked_text, help="The text that is continued.")
    ],
    layer: Annotated[int, typer.Option(min=0, help="Block whose input is changed, from 0.")],
    positive: Annotated[
        str | None, typer.Option(callback=optional_text, help="Contrast prompt that is added.")
    ] = None,
    negative: Annotated[
        str | None, typer.Option(callback=optional_text, help="Contrast prompt that is subtracted.")
    ] = None,
    vector: Annotated[
        str | None, typer.Option(help="A vector of the config, instead of a contrast pair.")
    ] = None,
    coefficient: Annotated[
        float, typer.Option(callback=finite, help="Factor of the vector.")
    ] = 5.0,
    model: Annotated[
        str, typer.Option(help="A prepared model's name, or a Hugging Face folder.")
    ] = "smollm2-135m",
    samples: Annotated[int, typer.Option(min=1, help="Completions of each kind.")] = 3,
    tokens: Annotated[int, typer.Option(min=1, help="Length of a completion.")] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    top_p: Annotated[float, typer.Option(min=0, max=1, help="Mass of the tokens kept.")] = 0.3,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest token.")] = 1.0,
    frequency_penalty: Annotated[
        float,
        typer.Option(callback=finite, help="Taken off for each time that a token is in the text."),
    ] = 1.0,
    chat: Annotated[
        Which | None,
        typer.Option(help="What a user says: it is written by the model's chat template."),
    ] = None,
    token_ids: Annotated[
        Which | None, typer.Option(help="What is given as numbers of tokens, such as '12 345 6'.")
    ] = None,
    bos: Annotated[
        str | None,
        typer.Option(callback=optional_text, help="BOS of a folder that names none."),
    ] = None,
    position: Annotated[Alignment, typer.Option(help="Where the vector is aligned.")] = "front",
    control: Annotated[
        bool, typer.Option(help="Show a random vector of the same norms beside it.")
    ] = True,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where it runs.")] = "cpu",
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16", "mixed", "auto"],
        typer.Option(help="What it runs in."),
    ] = "float32",
    threads: Annotated[
        int,
        typer.Option(min=1, max=1024, help="More are faster for a large model on idle cores."),
    ] = 1,
    results: Results = Path(layout.RESULTS),
) -> None:
    """Show completions of one prompt, steered and not, drawn with the same noise.

    Scorers of the config that need no model score them. In a pipe, each completion is a record:
    condition, number and scores, a tab, the text, of which every further line begins with a tab.
    """
    from actadd.cli.trial import show
    from actadd.cli.try_out import as_entry, compare, model_folder, named_vector

    pair = [positive, negative]
    if None in pair if vector is None else pair != [None, None]:
        raise typer.BadParameter("write --positive and --negative, or --vector with a name")
    if chat and token_ids and (chat == token_ids or "both" in (chat, token_ids)):
        raise UserError("--chat and --token-ids: a prompt is one of them; name different prompts")
    of_prompt, of_contrast = (
        {"chat": chat in (which, "both"), "token_ids": token_ids in (which, "both")}
        for which in ("prompt", "contrast")
    )
    file = None
    if vector is not None:
        entry, file = named_vector(vector, model, results)
    else:
        entry = {"name": "pair", "kind": "pair"}
        sides = {"positive": positive, "negative": negative}
        entry |= {side: as_entry(text or "", **of_contrast) for side, text in sides.items()}
    sampling = {
        "temperature": temperature,
        "top_p": top_p,
        "frequency_penalty": frequency_penalty,
    }
    with model_folder(model, results, bos) as folder:
        trial = compare(
            folder,
            entry,
            as_entry(prompt, **of_prompt),
            file=file,
            layer=layer,
            coefficient=coefficient,
            control=control,
            position=position,
            samples=samples,
            tokens=tokens,
            seed=seed,
            sampling=sampling,
            device=device,
            dtype=dtype,
            threads=threads,
        )
    show(trial)


@app.command(
    "pair",
    epilog="Examples:\n\n"
    "actadd pair Love Hate\n\n"
    'actadd pair " pirates" " people" --model smollm2-135m --layer 9',
)
def examine_pair(
    positive: Annotated[str, typer.Argument(callback=checked_text, help="Contrast prompt to add.")],
    negative: Annotated[
        str, typer.Argument(callback=checked_text, help="Contrast prompt to subtract.")
    ],
    model: Annotated[
        str, typer.Option(help="A prepared model's name, or a Hugging Face folder.")
    ] = "stories15m",
    layer: Annotated[
        int | None,
        typer.Option(
            min=0, help="Block whose input is read; the study's, or a third of the depth."
        ),
    ] = None,
    dose: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            callback=finite,
            help="Strength for the first token, a share of the stream's norm; as in the study.",
        ),
    ] = None,
    bos: Annotated[
        str | None,
        typer.Option(callback=optional_text, help="BOS of a folder that names none."),
    ] = None,
    results: Results = Path(layout.RESULTS),
) -> None:
    """Say what can be known of a contrast pair before sampling, and how far that foretells.

    It is compared with the pairs of the study is-my-pair-good: those in results if it was run, else
    those that are shipped.
    """
    from actadd.cli.pair import examine, show, study
    from actadd.cli.try_out import model_folder

    measured = study(results, model)
    with model_folder(model, results, bos) as folder:
        check = examine(folder, positive, negative, layer=layer, dose=dose, measured=measured)
    show(check, measured)


@app.command("vectors", epilog="Example:\n\nactadd vectors --results results")
def list_vectors(results: Results = Path(layout.RESULTS)) -> None:
    """List the steering vectors that have been made."""
    from actadd.cli.vectors import derived, show

    show(derived(results))


@app.command(
    "card",
    epilog="Examples:\n\nactadd card love-hate\n\n"
    "actadd card love-hate --model stories15m --experiment sentiment",
)
def show_cards(
    vector: Annotated[str, typer.Argument(help="A vector of the config.")],
    configs: Configs = None,
    model: Annotated[str | None, typer.Option(help="Only on this model.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Only in this experiment.")] = None,
) -> None:
    """Print the reliability cards of a vector: effect, prompts that moved the wrong way, damage.

    A card for each setting, from the results behind figures and tables of kind reliability. Of what
    was not measured it gives the lines of a config that would measure it.
    """
    from actadd.cli.card import cards_of
    from actadd.cli.project import configured
    from actadd.pipeline.graph import Graph
    from actadd.results.reliability.text import card_text

    graph = Graph(configured(configs), Path.cwd())
    texts = [card_text(card) for card in cards_of(graph, vector, model, experiment)]
    typer.echo("\n\n\n".join(texts))


Format = Annotated[
    Literal["safetensors", "gguf", "vllm-lens"] | None,
    typer.Option(help="The file's format, if its name's end does not say it."),
]


@app.command(
    "export",
    epilog="Examples:\n\n"
    "actadd export love-hate --model stories15m --layer 1 -o love-hate.safetensors\n\n"
    "actadd export pirates --model smollm2-135m --layer 15 --coefficient 2 -o pirates.gguf",
)
def export_vector(
    vector: Annotated[str, typer.Argument(help="A vector of the config that has been made.")],
    model: Annotated[str, typer.Option(help="The model that it was made on.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    layer: Annotated[
        list[int] | None,
        typer.Option(help="Block whose input is changed, from 0; may be given several times."),
    ] = None,
    coefficient: Annotated[
        float | None, typer.Option(help="A factor that works, to be kept beside the vector.")
    ] = None,
    format: Format = None,
    results: Results = Path(layout.RESULTS),
) -> None:
    """Write a vector to a file that other programs read."""
    from actadd.cli.exchange import export, show

    show(export(results, model, vector, layer, coefficient, output, format), output)


@app.command(
    "import",
    epilog="Examples:\n\nactadd import pirates.gguf\n\n"
    "actadd import pirates.gguf -o pirates.safetensors",
)
def import_vector(
    file: Annotated[Path, typer.Argument(help="A file of safetensors, GGUF or vllm-lens.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it as safetensors.")
    ] = None,
    format: Format = None,
) -> None:
    """Show what a vector's file holds, and how a config names it; -o keeps a copy of it."""
    from actadd.cli.exchange import show, show_entry
    from actadd.vectors.file_formats import load_vectors, save_vectors

    vectors = load_vectors(file, format)
    if output is not None:
        save_vectors(output, vectors, "safetensors")
    show(vectors, output or file)
    show_entry(output or file, "safetensors" if output else format)


@app.command(epilog="Examples:\n\nactadd check\n\nactadd check config/models_offline.yaml")
def check(configs: Configs = None) -> None:
    """Check the config as the workflow would, without running anything."""
    from actadd.cli.project import configured, counts

    typer.echo(counts(configured(configs)))


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
        raise UserError("--laboratory: --paper stands there too; plan one of them at a time")
    costs = Costs(Graph(configured(configs), Path.cwd()))
    part = "paper" if paper else "laboratory" if laboratory else ""
    runs = plan.runs(costs.graph, part)
    forecasts = [plan.forecast(costs, model, name) for model, name in runs]
    plan.show(forecasts, plan.others(costs, part))


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
        typer.echo(f"{forget}: {len(removed)} files removed; the next run computes its cells anew")
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
