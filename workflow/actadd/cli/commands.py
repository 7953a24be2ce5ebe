"""The group of all commands, which turns errors of a user into messages, and its options."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import actadd
from actadd.base.errors import UserError
from actadd.base.files import REMEDIES, system_error


class Commands(TyperGroup):
    """Prints errors that a user can put right as one message, with exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            message = str(error)
        except OSError as error:
            # A reader such as `head` may close the pipe early.
            if error.errno is None or isinstance(error, BrokenPipeError):
                raise
            number = system_error(error)
            remedy = REMEDIES[number] if number else "check that path, or name another"
            message = f"{error.filename2 or error.filename}: {error.strerror}; {remedy}"
        typer.echo(f"error: {message}", err=True)
        raise typer.Exit(1)


def print_version(wanted: bool) -> None:
    """The callback of --version."""
    if wanted:
        typer.echo(f"actadd {actadd.__version__}")
        raise typer.Exit


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
