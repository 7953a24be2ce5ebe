"""The command line in this process, and what it prints."""

from typer.testing import CliRunner

from actadd.cli import app

TRIAL = ("--positive", "Love", "--negative", "Hate", "--layer", "1", "--samples", "2")


def actadd(*arguments: str, code: int = 0) -> str:
    """What a command prints; both streams. Fails the test if its exit code surprises."""
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done.output


def printed_rows(printed: str) -> list[dict[str, str]]:
    """The tab-separated lines at the beginning of what was printed, as rows."""
    lines = [line.split("\t") for line in printed.splitlines() if "\t" in line]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def plan_rows(*arguments: str) -> dict[str, dict[str, str]]:
    return {row["experiment"]: row for row in printed_rows(actadd("plan", *arguments))}
