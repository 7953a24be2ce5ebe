"""The whole config: its sections, and the keys that stand alone."""

from dataclasses import dataclass
from typing import Annotated, Literal

from actadd.base.kinds import Rule, option
from actadd.config.lists import Lists
from actadd.config.sections.comparison import Comparison
from actadd.config.sections.datasets import AnyDataset
from actadd.config.sections.displays import Figure, Table
from actadd.config.sections.dose import Dose
from actadd.config.sections.experiments import AnyExperiment
from actadd.config.sections.language_models import LanguageModel
from actadd.config.sections.method_comparisons import MethodComparison
from actadd.config.sections.readings import Lens, Overhead, PairCheck
from actadd.config.sections.rules import ModelName, Name
from actadd.config.sections.scorers import Scorer
from actadd.config.sections.sources import AnySource
from actadd.config.sections.vectors import Vector


@dataclass(frozen=True, kw_only=True)
class Size:
    cells: int | None = option("Conditions that its grid may have.", None, minimum=1)
    prompts: int | None = option("Prompts or texts that are used.", None, minimum=1)
    samples: int | None = option("Completions of each prompt.", None, minimum=1, maximum=100_000)
    tokens: int | None = option("Tokens of each completion.", None, minimum=1, maximum=100_000)


@dataclass(frozen=True, kw_only=True)
class Compute:
    device: Literal["cpu", "cuda"] = option("cpu, or cuda for one GPU per model job.", "cpu")
    threads: int = option(
        "Torch threads of one model job; with 1, jobs side by side fill the cores.",
        1,
        minimum=1,
        maximum=1024,
    )
    batch_rows: Annotated[int, Rule(minimum=1, maximum=1_000_000)] | Literal["auto"] = option(
        "Rows of one generation batch. auto proposes them for each model from the memory that is "
        "free, once, in results/models/MODEL.batch_rows.json. Out of memory, batches are halved.",
        128,
        title="a number of rows from 1 on, or auto",
    )


@dataclass(frozen=True, kw_only=True)
class Config(Lists):
    builds_on: str | Annotated[list[str], Rule(min_length=1)] | None = option(
        "Config file, or a list of them, that this one lies on top of; paths start from the "
        "folder of the file that says it.",
        None,
        title="the path of a config file, or a list of them",
    )
    plugins: list[str] = option(
        "Python files with kinds of your own (scorers, figures, ...), from the working directory.",
        [],
        unique=True,
    )
    seed: int = option(
        "Seed of every draw: the noise of completions, by prompt and sample number; random vectors "
        "without a seed of their own; what a timing reads, and in which order. Intervals are "
        "resampled with a fixed one, so that the same values always have the same interval; splits "
        "and fits draw nothing.",
        minimum=0,
    )
    licences_accepted: list[str] = option(
        "Names of models whose licence terms you have read and accept.", []
    )
    data_dir: str | None = option(
        "Folder of local copies; a source with `local` is read from there if it is there.",
        None,
        min_length=1,
    )
    run_on: list[ModelName] = option(
        "Models of every experiment, lens and timing that names none itself.", [], unique=True
    )
    budget: dict[Name, Size] = option(
        "Size of each experiment, in one table; it overrides what the experiment says.", {}
    )
    compute: Compute = option("Where and how model jobs run.")
    dose: Dose | None = option(
        "What doses are shares of: the residual stream's median norm over some texts.", None
    )
    sources: dict[Name, AnySource] = option("What is fetched, and from where.")
    models: dict[Name, LanguageModel] = option(
        "Language models to steer, and to judge fluency with."
    )
    datasets: dict[Name, AnyDataset] = option("Prompts and texts.")
    vectors: dict[Name, Vector] = option("Steering vectors.")
    scorers: dict[Name, Scorer] = option("Measures of a completion.")
    experiments: dict[Name, AnyExperiment] = option("Conditions on prompts, and what is measured.")
    method_comparisons: dict[Name, MethodComparison] = option(
        "Ways of steering, compared at equal damage on held-out prompts.", {}
    )
    labels: dict[str, str] = option(
        "Name of a metric, condition, model or vector, or @ and the name of a group of prompts -> "
        "what figures and tables call it.",
        {},
    )
    figures: dict[Name, Figure] = option("What is drawn from the experiments' tables.")
    tables: dict[Name, Table] = option("What is tabulated, to be read, from the experiments.", {})
    lenses: dict[Name, Lens] = option(
        "Vectors to be read through the unembedding and compared with each other.", {}
    )
    pair_checks: dict[Name, PairCheck] = option(
        "Contrast pairs, and what can be known of them before sampling.", {}
    )
    overheads: dict[Name, Overhead] = option(
        "Timings of forward passes with and without an addition.", {}
    )
    comparison: Comparison = option(
        "The published numbers, and what of ours stands beside them.", {}
    )
