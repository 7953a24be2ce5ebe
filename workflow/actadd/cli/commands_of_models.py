"""Commands that run a model: `try`, `serve` and `pair`."""

from pathlib import Path
from typing import Annotated

import typer

from actadd.base.errors import UserError
from actadd.cli.arguments import (
    Bos,
    Configs,
    Device,
    Dtype,
    Model,
    Results,
    Threads,
    Which,
    checked_text,
    finite,
    optional_text,
)
from actadd.cli.commands import app
from actadd.engine.placement import Alignment
from actadd.pipeline import layout


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
    positive: Annotated[
        str | None, typer.Option(callback=optional_text, help="Contrast prompt that is added.")
    ] = None,
    negative: Annotated[
        str | None, typer.Option(callback=optional_text, help="Contrast prompt that is subtracted.")
    ] = None,
    vector: Annotated[
        str | None, typer.Option(help="A vector of the config, instead of a contrast pair.")
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(min=0, help="Block whose input is changed, from 0; a third of the depth."),
    ] = None,
    coefficient: Annotated[
        float, typer.Option(callback=finite, help="Factor of the vector.")
    ] = 5.0,
    model: Model = "smollm2-135m",
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
    bos: Bos = None,
    position: Annotated[Alignment, typer.Option(help="Where the vector is aligned.")] = "front",
    control: Annotated[
        bool, typer.Option(help="Show a random vector of the same norms beside it.")
    ] = True,
    device: Device = "cpu",
    dtype: Dtype = None,
    threads: Threads = 1,
    results: Results = Path(layout.RESULTS),
) -> None:
    """Show completions of one prompt, steered and not, drawn with the same noise.

    Scorers of the config that need no model score them. In a pipe, each completion is a record:
    condition, number and scores, a tab, the text, of which every further line begins with a tab.
    """
    from actadd.base.files import read_json
    from actadd.cli.pair import DEPTH
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
        if layer is None:
            layer = round(DEPTH * read_json(folder / "model.json")["layers"])
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
    "serve",
    epilog="Examples:\n\nactadd serve --model stories15m --vector love-hate\n\n"
    "actadd serve --model smollm2-135m --port 9000 --no-browser",
)
def serve_page(
    configs: Configs = None,
    model: Model = "stories15m",
    vector: Annotated[
        str | None, typer.Option(help="The vector of the config that the page begins with.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of 127.0.0.1; 0 takes any that is free.")
    ] = 8501,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    bos: Bos = None,
    device: Device = "cpu",
    dtype: Dtype = None,
    threads: Threads = 1,
    results: Results = Path(layout.RESULTS),
) -> None:
    """Steer a model live, on a page that this machine alone can open.

    Completions with and without a vector, and with a random one, appear token by token side by
    side, drawn as the workflow draws them. The page prints the config that reproduces them.
    """
    from actadd.cli.serve import serve

    serve(
        configs=configs,
        model=model,
        vector=vector,
        port=port,
        browser=browser,
        bos=bos,
        device=device,
        dtype=dtype,
        threads=threads,
        results=results,
    )


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
    model: Model = "stories15m",
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
    bos: Bos = None,
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
