"""What figures and tables of precision at K need of an experiment's texts."""

from collections.abc import Iterator

from actadd.results.displays.kinds import Experiment


def lacks_targets(experiment: Experiment) -> Iterator[str]:
    """A problem if the experiment's texts certainly have no targets."""
    if "texts" in experiment.dataset:
        yield (
            f"experiment: the texts of {experiment.name} are written in the config and have no "
            "targets; take one on a dataset whose file has them, see columns.target"
        )
