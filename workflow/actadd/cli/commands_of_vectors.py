"""Commands about vectors that exist: `vectors`, `card`, `export` and `import`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from actadd.cli.arguments import Configs, Results
from actadd.cli.commands import app
from actadd.pipeline import layout


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
