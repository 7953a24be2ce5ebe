"""Each field of a reliability card, from made-up tables of which the truth is known."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from scipy.stats import spearmanr

from actadd.base.errors import UserError
from actadd.base.intervals import crossed, detectable, difference_interval, mean_interval
from actadd.base.kinds import build
from actadd.cli.card import chosen
from actadd.config.checks import checked
from actadd.config.files import load
from actadd.results.displays import needs
from actadd.results.reliability.card import Card, Estimate, Unmeasured, Versus
from actadd.results.reliability.claims import claim
from actadd.results.reliability.directions import decodable_not_steerable
from actadd.results.reliability.gather import cards
from actadd.results.reliability.options import ReliabilityOptions
from actadd.results.reliability.remedies import Remedies
from actadd.results.reliability.text import card_text
from builders import reliability as made_up
from builders import tiny
from builders.configs import changed as changed_config
from builders.figures import by_need
from builders.reliability import DRAWS, GAINS, KL, PROMPTS, STRENGTHS


@pytest.fixture
def gather(tmp_path):
    """Cards of made-up sources; keys of the options, and `more` of the facts, may be changed."""

    def run(sources: dict | None = None, more: dict | None = None, **options) -> list[Card]:
        entry = {"name": "t", "kind": "reliability", "title": "T", **made_up.OPTIONS, **options}
        about = {**made_up.ABOUT, "more": {**made_up.MORE, **(more or {})}}
        spec = {key: value for key, value in entry.items() if value is not None} | {"about": about}
        files = by_need("reliability", sources or made_up.sources(), tmp_path)
        return cards(build(ReliabilityOptions, spec), needs.sources_of("tables", spec, files))

    return run


@pytest.fixture
def card(gather):
    """The card of strength 1."""
    [found] = [each for each in gather() if each.setting.endswith("c = 1)")]
    return found


def without(sources: dict, name: str, **cell) -> dict:
    """The sources without the rows of one file that have these values."""
    [(key, value)] = cell.items()
    return {**sources, name: [row for row in sources[name] if row[key] != value]}


# --- effect and prompts ---


def test_there_is_a_card_for_each_setting_but_controls_and_unsteered(gather):
    found = gather()
    assert [each.setting for each in found] == [f"v (layer 3, c = {c:g})" for c in STRENGTHS]
    assert {(each.model, each.condition, each.settings_tried) for each in found} == {
        ("one", "actadd", len(STRENGTHS))
    }


def test_the_effect_is_the_mean_paired_difference_of_prompts(card):
    assert card.prompts == PROMPTS and card.label == "words"
    assert card.changes.to_numpy() == pytest.approx(GAINS)
    assert card.effect == pytest.approx(difference_interval(GAINS))
    assert card.detectable == pytest.approx(detectable(GAINS))


def test_prompts_that_lose_moved_the_wrong_way_and_the_worst_come_first(card):
    assert (card.wrong_way.count, card.wrong_way.unmoved) == (3, 1)
    assert card.wrong_way.share == pytest.approx(mean_interval((GAINS < 0).astype(float), True))
    assert [(each.text, round(each.change, 9)) for each in card.wrong_way.worst] == [
        *(("prompt 17", -0.3), ("prompt 18", -0.2), ("prompt 19", -0.1)),
    ]


def test_five_of_many_prompts_are_listed(gather):
    negative, *_ = gather()
    # At a negative strength the metric should fall, and the same prompts move the wrong way.
    assert negative.aim == -1 and negative.wrong_way.count == 3
    risen, *_ = gather(more={"aims": {"actadd": 1}})
    assert risen.wrong_way.count == 16 and len(risen.wrong_way.worst) == 5
    assert [e.change for e in risen.wrong_way.worst] == pytest.approx(sorted(-GAINS[:16])[:5])


def test_a_metric_that_should_fall_turns_every_aim_round(gather):
    falling = gather(direction="min")
    assert [each.aim for each in falling] == [1, -1, -1]
    assert falling[1].wrong_way.count == 16


# --- slope ---


def test_the_slope_is_each_prompts_gain_for_1_of_strength(card):
    assert card.slope.strengths == (-1, 0, 1, 2) and card.slope.prompts == PROMPTS
    assert card.slope.mean == pytest.approx(difference_interval(GAINS))
    assert card.slope.spread == pytest.approx(GAINS.std(ddof=1))
    assert card.slope.against.value == pytest.approx(3 / PROMPTS)


def test_slopes_and_controls_are_of_one_seed(gather):
    """An experiment that sweeps its seed has each setting several times."""
    sources = made_up.sources()
    for name, table in sources.items():
        if name.startswith(("tables/one/e", "scores")):
            again = [{**each, "cell": f"{each['cell']}-again"} for each in table]
            for each in again:
                if "seed" in each:
                    each["seed"] += 1
                elif "any" in each and each["condition"] != "unsteered":
                    each["any"] = each["prompt_id"] ** 2
            sources[name] = [*table, *again]
    first, *_ = found = [each for each in gather(sources) if each.setting.endswith("c = 1)")]
    assert len(found) == 2
    assert first.slope.mean == pytest.approx(difference_interval(GAINS))
    assert first.control.other.value == pytest.approx(DRAWS.mean())


def test_a_slope_takes_three_strengths_of_the_same_setting(gather):
    sources = made_up.sources()
    for cell in ("s-1.0", "s2.0"):
        for name in [key for key in sources if key.startswith(("tables/one/e", "scores"))]:
            sources = without(sources, name, cell=cell)
    [only] = gather(sources)
    assert "0, 1" in only.slope.why
    remedy = yaml.safe_load(only.slope.remedy)
    [swept] = remedy["experiments"]["e-strengths"]["conditions"]["actadd"]["additions"]
    assert swept["coefficient"] == [0.5, 1] and remedy["tables"]["t"]["sweep"] == "e-strengths"


def test_the_strengths_of_another_layer_do_not_count(gather):
    sources = made_up.sources()
    elsewhere = made_up.added("v", 2.0, layer=9)
    name = "tables/one/e.parquet"
    sources[name] = [r | (elsewhere if r["cell"] == "s2.0" else {}) for r in sources[name]]
    first, *_ = gather(sources)
    assert first.slope.strengths == (-1, 0, 1)


# --- beside others ---


def test_the_control_is_the_one_of_this_vector_at_the_same_setting(card):
    assert card.control.name == "v-random" and card.control.at == "the same setting"
    assert card.control.other == pytest.approx(crossed(DRAWS).interval)
    assert card.control.difference == pytest.approx(crossed(GAINS - DRAWS).interval)
    assert card.control.wrong_way == pytest.approx((DRAWS < 0).mean())
    assert card.control.changes.to_numpy() == pytest.approx(DRAWS.mean(axis=0))


def test_a_setting_without_its_control_says_how_to_add_one(gather):
    *_, strong = gather()
    assert strong.setting.endswith("c = 2)") and "at this setting" in strong.control.why
    remedy = yaml.safe_load(strong.control.remedy)
    [added] = remedy["experiments"]["e"]["conditions"]["actadd-control"]["additions"]
    assert added == {"vector": "v-orthogonal", "layer": 3, "coefficient": 2.0}
    assert remedy["vectors"] == {"v-orthogonal": {"kind": "orthogonal", "like": "v"}}


def test_of_several_controls_the_one_that_does_most_is_taken(gather):
    roots = {"v": "v", "v-random": "v", "other-random": "v"}
    [card] = [each for each in gather(more={"roots": roots}) if each.setting.endswith("c = 1)")]
    assert card.control.name == "other-random"
    assert card.control.difference.value == pytest.approx(GAINS.mean() - 99 * DRAWS.mean())
    [low] = [
        each
        for each in gather(more={"roots": roots}, direction="min")
        if each.setting.endswith("c = 1)")
    ]
    assert low.control.name == "v-random"
    # In the direction of the aim, which is now down.
    assert low.control.difference.value == pytest.approx(DRAWS.mean() - GAINS.mean())


def test_other_scorers_are_correlated_over_prompts(card):
    [second] = card.agreement
    assert second.effect.value == pytest.approx(2 * GAINS.mean()) and second.same_sign(card.effect)
    assert second.correlation.value == pytest.approx(spearmanr(GAINS, 2 * GAINS).statistic)


def reading(condition: str, role: str, damage: str, reference: str = "prompting", **values) -> dict:
    empty = ("effect", "minus_point")
    numbers = {f"{name}{end}": np.nan for name in empty for end in ("", "_low", "_high")}
    about = {"model": "one", "condition": condition, "role": role, "damage": damage}
    about |= {"at": 1.3, "strength": 1.0, "reference": reference, "reason": ""}
    return {**about, **numbers, **values}


def minus(value: float) -> dict:
    return {"minus_point": value, "minus_point_low": value - 0.1, "minus_point_high": value + 0.2}


def point(reference: str, damage: str = "disfluency") -> dict:
    bounds = {"effect": 0.5, "effect_low": 0.4, "effect_high": 0.6}
    return reading(reference, "point", damage, reference, **bounds)


def with_readings(gather, *rows: dict, **options):
    sources = made_up.sources(**{"readings/m.parquet": [*rows]})
    return gather(sources, method_comparison="m", **options)[1]


STATED = reading("actadd", "method", "disfluency", "", **minus(9))


def test_prompting_is_read_at_its_own_damage_and_the_hardest_prompt_counts(gather):
    rows = [
        reading("actadd", "method", "disfluency", "prompting", **minus(0.3)),
        reading("actadd", "method", "disfluency", "few-shot", **minus(-0.2)),
        reading("actadd", "method", "divergence", "prompting", **minus(-7)),
        reading("other", "method", "disfluency", "prompting", **minus(-8)),
    ]
    points = [point("prompting"), point("few-shot"), point("prompting", "divergence")]
    card = with_readings(gather, STATED, *rows, *points)
    assert card.prompting.name == "few-shot" and card.prompting.other == (0.5, 0.4, 0.6)
    assert card.prompting.difference == pytest.approx((-0.2, -0.3, 0.0))
    assert card.prompting.at == "equal damage (disfluency 1.3)"
    down = with_readings(gather, STATED, *rows, *points, direction="min")
    assert down.prompting.name == "prompting"
    assert down.prompting.difference == pytest.approx((-0.3, -0.5, -0.2))


def test_another_damage_is_taken_where_the_first_is_not_reached(gather):
    rows = [
        reading("actadd", "method", "disfluency", reason="it ends at 1.1"),
        reading("actadd", "method", "divergence", **minus(0.1)),
    ]
    points = [point("prompting"), point("prompting", "divergence")]
    assert "divergence" in with_readings(gather, STATED, *rows, *points).prompting.at
    nowhere = with_readings(gather, STATED, rows[0], points[0])
    assert nowhere.prompting.why == "it ends at 1.1"


def test_a_method_read_at_strength_0_compares_nothing(gather):
    rows = [
        reading("actadd", "method", "disfluency", reason="never reached"),
        reading("actadd", "method", "knowledge", **minus(0.1), strength=0.0),
    ]
    points = [point("prompting"), point("prompting", "knowledge")]
    assert with_readings(gather, *rows, *points).prompting.why == "never reached"


def test_a_comparison_without_prompting_or_method_says_so(gather):
    assert "has no prompting" in with_readings(gather, STATED).prompting.why
    assert "no method 'actadd'" in with_readings(gather, point("prompting")).prompting.why


# --- damage ---


def test_disfluency_is_a_geometric_mean_ratio(card):
    assert card.disfluency.value == pytest.approx(1.1)
    assert card.disfluency.low < 1.1 < card.disfluency.high


def test_kl_and_knowledge_come_from_the_same_setting_of_other_experiments(gather):
    weak, card, strong = gather()
    assert card.kl == pytest.approx(mean_interval(KL))
    hits = np.array([0] * 6 + [-1] * 2 + [0] * 2)
    assert card.knowledge == pytest.approx(difference_interval(hits))
    for other in (weak, strong):
        assert "d has no such setting" in other.kl.why
        assert "k has no such setting" in other.knowledge.why


@pytest.mark.parametrize(
    ("option", "field"),
    [("divergence", "kl"), ("knowledge", "knowledge"), ("cost", "disfluency")],
)
def test_what_no_experiment_measures_says_so(gather, option, field):
    _, card, _ = gather(**{option: None})
    value = getattr(card, field)
    assert isinstance(value, Unmeasured) and option in yaml.safe_load(value.remedy)["tables"]["t"]
    assert field in card.unmeasured


# --- the vector ---


def test_a_dose_is_what_is_added_over_the_streams_norm(gather):
    _, card, strong = gather()
    assert [each.ratio for each in card.positions] == [0, 0.5, 0.25]
    assert [each.norm for each in card.positions] == [0, 8, 4]
    assert [each.dose for each in strong.positions] == [0, 1.0, 0.5]
    assert card.warnings == strong.warnings == ()


def positions(gather, rows=None, **addition):
    """The positions of a card whose addition has other options."""
    sources = made_up.sources(**({"norms/one/v.csv": rows} if rows else {}))
    changed = made_up.added("v", 1.0, **addition)
    sources["tables/one/e.parquet"] = [
        row | (changed if row["cell"] == "s1.0" else {}) for row in sources["tables/one/e.parquet"]
    ]
    return gather(sources)[1]


def test_a_vector_from_another_layer_is_beside_the_stream_that_it_is_added_to(gather):
    card = positions(gather, source_layer=2)
    assert [each.norm for each in card.positions] == [0, 6, 3]
    assert [each.dose for each in card.positions] == [0, 0.375, 0.1875]


def test_of_a_dose_the_geometric_mean_of_the_rows_is_that_share_of_the_stream(gather):
    card = positions(gather, dose=0.7)
    *_, first, second = [each.dose for each in card.positions]
    assert np.sqrt(first * second) == pytest.approx(0.7) and first == pytest.approx(2 * second)


@pytest.mark.parametrize(
    "addition",
    [
        {"operation": "rotate", "degrees": 30},
        {"dimensions": 0.5},
        {"match_norm": True},
        {"layers": [2, 3]},
    ],
)
def test_what_adds_no_multiple_of_the_vector_has_no_dose(gather, addition):
    assert isinstance(positions(gather, **addition).positions, Unmeasured)


def test_large_norms_and_doses_and_a_zero_vector_are_warned_of(gather):
    def warned(*norms: float) -> tuple[str, ...]:
        rows = [
            row | {"vector_norm": norm * (row["layer"] + 1)}
            for row, norm in zip(made_up.norms(), [*norms, *norms], strict=True)
        ]
        return gather(made_up.sources(**{"norms/one/v.csv": rows}))[2].warnings

    [sink] = warned(0, 13, 1)
    assert "position 1" in sink and "3.2 times" in sink and "attention sink" in sink
    [large] = warned(0, 1, 3)
    assert "position 2" in large and "1.5 times the stream's norm" in large
    [zero] = warned(0, 0, 0)
    assert "zero at every position" in zero


def test_separation_is_that_of_the_best_position_at_the_layer(card):
    assert card.separation == (pytest.approx(0.9), 2.0, 3, 2)
    assert card.decodable_not_steerable is True, "its effect's interval holds 0"


def test_a_position_without_spread_says_nothing_of_separation(gather):
    rows = [
        row | ({"auc": 1.0, "d_prime": np.nan} if row["position"] == 1 else {})
        for row in made_up.norms()
    ]
    _, card, _ = gather(made_up.sources(**{"norms/one/v.csv": rows}))
    assert (card.separation.position, card.separation.auc) == (2, pytest.approx(0.9))


def test_a_vector_of_one_pair_has_no_separation(gather):
    separation = ("auc", "d_prime")
    rows = [{k: v for k, v in row.items() if k not in separation} for row in made_up.norms()]
    _, card, _ = gather(made_up.sources(**{"norms/one/v.csv": rows}))
    assert "no pairs to hold out" in card.separation.why
    assert card.decodable_not_steerable is None
    remedy = yaml.safe_load(card.separation.remedy)
    assert remedy["vectors"]["v-pairs"]["kind"] == "mean_difference"


@pytest.mark.parametrize(
    ("auc", "effect", "difference", "flag"),
    [
        (0.9, (0.2, 0.1, 0.3), (0.2, 0.1, 0.3), False),
        (0.9, (0.2, 0.1, 0.3), (0.0, -0.1, 0.1), True),
        (0.9, (0.0, -0.1, 0.1), None, True),
        (0.9, (-0.2, -0.3, -0.1), None, True),
        (0.6, (0.0, -0.1, 0.1), None, False),
        (0.9, (0.2, np.nan, np.nan), None, None),
    ],
)
def test_decodable_but_not_steerable(card, auc, effect, difference, flag):
    separated = card.separation._replace(auc=auc)
    versus = Unmeasured(why="")
    if difference:
        versus = replace(card.control, difference=Estimate(*difference))
    assert decodable_not_steerable(separated, Estimate(*effect), versus, 1) is flag


# --- what cannot be measured ---


def test_a_failed_cell_claims_nothing_and_says_why(gather):
    sources = made_up.sources()
    name = "scores/one/e/words.parquet"
    sources[name] = [
        row | ({"failed": "too large", "any": np.nan} if row["cell"] == "s1.0" else {})
        for row in sources[name]
    ]
    _, card, _ = gather(sources)
    assert "too large" in card.effect.why and card.changes.empty
    assert claim(card) == "Nothing may be claimed: the cell failed: too large."
    assert isinstance(card.wrong_way, Unmeasured) and isinstance(card.control, Unmeasured)
    assert "not measured: the cell failed" in card_text(card)


def test_one_prompt_has_no_interval_and_claims_nothing(gather):
    sources = {
        name: [row for row in rows if row.get("prompt_id", 0) == 0]
        for name, rows in made_up.sources().items()
    }
    _, card, _ = gather(sources)
    assert card.effect.value == pytest.approx(GAINS[0]) and not card.effect.bounded
    assert isinstance(card.detectable, Unmeasured)
    assert claim(card).startswith("Nothing may be claimed: n = 1 prompt")


def test_without_unsteered_values_there_is_no_effect(gather):
    sources = made_up.sources()
    for name in [key for key in sources if key.startswith(("tables/one/e", "scores"))]:
        sources = without(sources, name, cell="u")
    _, card, _ = gather(sources)
    assert "no unsteered condition" in card.effect.why


# --- the claim ---


def changed(card: Card, **fields) -> str:
    whole = {"settings_tried": 1, "decodable_not_steerable": None, **fields}
    return claim(replace(card, **whole))


def versus(name: str, low: float, high: float, at: str = "equal damage") -> Versus:
    return Versus(
        name=name, other=Estimate(0, 0, 0), difference=Estimate((low + high) / 2, low, high), at=at
    )


def test_a_claim_says_effect_cost_prompts_control_and_prompting(card):
    text = changed(
        card,
        effect=Estimate(0.21, 0.15, 0.27),
        control=versus("random", 0.1, 0.2),
        prompting=versus("prompting", -0.1, 0.1),
    )
    assert text == (
        "Moves words by +0.21 [+0.15, +0.27] at 1.1 times the perplexity; 15 % of prompts move the "
        "other way; better than the best control (random); not better than prompting at equal "
        "damage."
    )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"effect": Estimate(-0.2, -0.3, -0.1)}, "moves words the wrong way, by -0.20"),
        # 15 % moved against the aim, which is then the way of the mean.
        ({"effect": Estimate(-0.2, -0.3, -0.1)}, "15 % of prompts move that way"),
        ({"effect": Estimate(0.02, -0.1, 0.1)}, "15 % of prompts move against the aim"),
        ({"effect": Estimate(0.02, -0.1, 0.1)}, "no effect on words is shown: +0.02"),
        ({"effect": Estimate(0.02, -0.1, 0.1), "detectable": 0.14}, "less than 0.14 could not"),
        ({"disfluency": Unmeasured(why="")}, "at a disfluency that was not measured"),
        ({"control": Unmeasured(why="")}, "not compared with a control"),
        ({"prompting": Unmeasured(why="")}, "not compared with prompting at equal damage"),
        ({"prompting": versus("few-shot", -0.2, -0.1)}, "worse than few-shot at equal damage"),
        ({"decodable_not_steerable": True}, "decodable, but not steerable"),
        ({"settings_tried": 3}, "one of 3 settings tried on these prompts"),
    ],
)
def test_each_rule_of_a_claim(card, fields, says):
    usual = {"effect": Estimate(0.21, 0.15, 0.27), "prompting": versus("prompting", 0.1, 0.2)}
    assert says not in changed(card, **usual).lower()
    assert says in changed(card, **{**usual, **fields}).lower()


# --- text, config ---


def test_the_text_has_every_field_and_the_claim(card):
    text = card_text(card)
    for part in (
        *("v (layer 3, c = 1) on one", "words should rise", "prompt 17", "20 of", "nats"),
        *("AUC 0.90", "position 2", "v-random", "mood.probability", "the-source", "Claim: "),
    ):
        assert part in text.replace("n = 20", "20 of"), part
    assert claim(card) in text and "nan" not in text


@pytest.mark.parametrize(
    ("addition", "strengths"),
    [
        ({"coefficient": 2.0}, [1.0, 2.0]),
        # A clamp to 0 is not unsteered, so that 0 is no third strength.
        ({"operation": "clamp", "coefficient": 2.0}, [0.5, 1.0, 2.0]),
    ],
)
def test_the_remedy_of_a_slope_has_three_strengths(addition, strengths):
    added = {"vector": "v", "layer": 3, "source_layer": 3, **addition}
    more = {"models": ["one"], "prompts": {}, "samples": 1, "scorers": ["words"]}
    remedy = yaml.safe_load(Remedies("tables.t", "e", "a", [added], more).slope())
    [swept] = remedy["experiments"]["e-strengths"]["conditions"]["a"]["additions"]
    assert strengths in swept.values()


@pytest.fixture
def config_with(tmp_path):
    """The default config with a table of cards of `topic`, and more on top of both; checked."""

    def run(*more: dict, **options) -> dict:
        entry = {"kind": "reliability", "title": "T", "experiment": "topic"}
        entry |= {"metric": "pirate-words.any", **options}
        paths = []
        for number, each in enumerate((changed_config("tables", {"t": entry}), *more)):
            paths.append(tmp_path / f"{number}.yaml")
            paths[-1].write_text(yaml.safe_dump(each))
        return checked(load(paths), tiny.ROOT)

    return run


COMPARISON = {
    **{"title": "small", "models": ["smollm2-135m"], "prompts": {"dataset": "openings"}},
    "methods": {
        "add": {
            "method": "actadd",
            "additions": [{"vector": "pirates", "layer": 6, "coefficient": [2, 4]}],
        }
    },
    "effect": {"metric": "pirate-words.any"},
    "damage": {"disfluency": {"metric": "disfluency.perplexity", "at": [1.5]}},
}
ADDITION = {
    **{"vector": "pirates", "layer": 6, "source_layer": 6, "coefficient": 4},
    **{"dimensions": None, "match_norm": False, "phase": "prefill", "position": "front"},
}
FIELDS = [
    *("cost", "agreement", "divergence", "knowledge"),
    *("slope", "control", "prompting", "separation"),
]


def remedy(config: dict, field: str, condition: str) -> dict:
    """What a remedy says, as a config on top."""
    options = build(ReliabilityOptions, config["tables"]["t"])
    facts = options.facts(config)
    remedies = Remedies("tables.t", options.experiment, condition, [ADDITION], facts)
    about = {"prompting": (options, 1), "agreement": (options.metric,)}
    return yaml.safe_load(getattr(remedies, field)(*about.get(field, ())))


@pytest.mark.parametrize("field", FIELDS)
def test_remedies_are_lines_of_a_config_that_is_valid(config_with, field):
    config = config_with()
    assert config_with(remedy(config, field, "actadd")) != config


@pytest.mark.parametrize("field", sorted({*FIELDS} - {"slope", "cost"}))
def test_remedies_of_a_compared_method_are_lines_of_its_comparison(config_with, field):
    names = {"experiment": "small", "metric": "pirate-words.any"}
    above = {"method_comparisons": {"small": COMPARISON}}
    config = config_with(above, **names)
    lines = remedy(config, field, "add")
    assert "experiments" not in lines
    assert config_with(above, lines, **names) != config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "mood.any"}, ["tables.t.metric", "mood.any"]),
        ({"cost": "vader.compound"}, ["tables.t.cost", "vader.compound"]),
        ({"agreement": ["sentiment.nothing"]}, ["tables.t.agreement", "sentiment.nothing"]),
        ({"sweep": "knowledge"}, ["tables.t.sweep", "logprobs", "completions"]),
        ({"divergence": "topic"}, ["tables.t.divergence", "completions", "divergence"]),
        ({"knowledge": "nothing"}, ["tables.t.knowledge", "nothing"]),
        ({"aims": {"unsteered": "max"}}, ["tables.t.aims", "unsteered", "actadd"]),
        ({"aims": {"nothing": "max"}}, ["tables.t.aims", "nothing", "actadd"]),
        ({"direction": "up"}, ["tables.t.direction", "up", "max"]),
        ({"experiment": "knowledge"}, ["tables.t.kind", "logprobs", "completions"]),
    ],
)
def test_a_wrong_entry_is_refused_with_key_and_remedy(config_with, changes, words):
    with pytest.raises(UserError) as refused:
        config_with(**changes)
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pirate", None, None), ["VECTOR", "'pirate'", "did you mean 'pirates'"]),
        (("pirates-draws", None, None), ["VECTOR", "is a control", "name that vector"]),
        (("love-hate", None, None), ["VECTOR", "'love-hate'", "pirates", "kind reliability"]),
        (("pirates", "gpt", None), ["--model", "'gpt'", "smollm2-135m"]),
        (("pirates", None, "topik"), ["--experiment", "'topik'", "topic"]),
    ],
)
def test_what_has_no_cards_is_named_with_what_has(config_with, arguments, words):
    config = config_with({"figures": {"reliability": None}})
    config["tables"].pop("reliability", None)
    with pytest.raises(UserError) as refused:
        chosen(config, *arguments)
    assert all(word in str(refused.value) for word in words)
    assert len(str(refused.value)) < 300, "not every vector of the config"


def test_without_an_entry_of_the_kind_its_lines_are_said(config_with):
    config = config_with()
    with pytest.raises(UserError, match=r"kind: reliability, .*experiment: NAME, metric"):
        chosen({**config, "figures": {}, "tables": {}}, "pirates", None, None)
    figure = {**config["tables"]["t"], "experiment": "topic"}
    only = {**config, "figures": {"f": figure}, "tables": {}}
    assert chosen(only, "pirates", None, None) == [("figures", "f")]


def test_a_choice_says_which_way_its_metric_should_move(config_with):
    config = config_with(experiment="sentiment", metric="vader.compound")
    facts = needs.facts("tables", config["tables"]["t"], config)["more"]
    assert facts["aims"] == {"towards-hate": -1, "random": -1}
    assert facts["roots"] == {"love-hate": "love-hate", "love-hate-draws": "love-hate"}
    assert "min vader.compound" in facts["chosen"]["towards-hate"]
    config = config_with(experiment="topic", metric="pirate-words.any")
    facts = needs.facts("tables", config["tables"]["t"], config)["more"]
    assert facts["aims"] == {"actadd": 1, "random": 1}


def test_the_config_states_an_aim_where_nothing_else_does(config_with):
    config = config_with(aims={"actadd": "min"})
    facts = needs.facts("tables", config["tables"]["t"], config)["more"]
    assert facts["aims"] == {"actadd": -1, "random": 1}
