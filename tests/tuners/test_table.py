"""The tuner of rules: which rules fire, the sum of their steps, and the limits of a table."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.history import Entry, History
from pytest_soak.model.parameters import Corridor
from pytest_soak.model.proposal import Proposal
from pytest_soak.model.summary import Summary
from pytest_soak.packs.loader import build_pack
from pytest_soak.tuners.table import TableTuner

if TYPE_CHECKING:
    from pytest_soak.model.metrics import Value

HOT = {"metric": "heat", "op": ">", "value": 10}
LOUD = {"metric": "noise", "op": ">", "value": 10}
START = {"fan": 20, "valve": 0.3}


def a_rule(id_: str, when: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"tuner": "table", "id": id_, "when": when, "reason": id_, **parts}


def a_tuner(*rules: dict[str, Any], **settings: Any) -> TableTuner:
    pack = build_pack(
        {
            "pack": {
                "name": "tiny",
                "prefix": "TINY_",
                "profile": "base",
                "tuner": "table",
                "system": "mock",
                "scenario": "calm",
            },
            "parameters": {
                "fan": {"unit": "1", "limits": [0, 100], "calm": "up", "precision": 1},
                "valve": {"unit": "1", "limits": [0, 1], "calm": "down", "precision": 0.001},
            },
            "profiles": {"base": START},
            "metrics": {"heat": {}, "noise": {}, "drivers": {"kind": "labels"}},
            "kpis": {"heat": {"fail": "> 20"}},
            "tuners": {"table": settings},
            "rule": list(rules),
            "scenarios": {"calm": {}},
        },
        "tiny.toml",
    )
    return TableTuner(pack, pack.tables["table"])


def history(*metrics: dict[str, Value]) -> History:
    return History([Entry(Summary(n, START, values)) for n, values in enumerate(metrics, 1)])


def asked(tuner: TableTuner, *metrics: dict[str, Value], **parameters: float) -> Proposal:
    return tuner.propose(history(*metrics), {**START, **parameters})


def test_no_rule_fired_is_no_change() -> None:
    tuner = a_tuner(a_rule("hot", {"all": [HOT]}, step={"fan": 5}))
    assert asked(tuner, {"heat": 10}) == Proposal()


def test_a_fired_rule_proposes_its_step_and_says_why() -> None:
    tuner = a_tuner(a_rule("hot", {"all": [HOT]}, step={"fan": 5, "valve": -0.1}))
    proposal = asked(tuner, {"heat": 11})
    assert proposal.deltas == {"fan": 5, "valve": -0.1}
    assert proposal.reasons == ("hot",)
    assert proposal.reason("fan") == "hot"


@pytest.mark.parametrize("heat", [None, ("much",)], ids=["undefined", "labels"])
def test_a_value_that_is_not_a_number_fires_nothing(heat: Value) -> None:
    assert (
        asked(a_tuner(a_rule("hot", {"all": [HOT]}, step={"fan": 5})), {"heat": heat}) == Proposal()
    )


def test_a_missing_metric_fires_nothing() -> None:
    assert asked(a_tuner(a_rule("hot", {"all": [HOT]}, step={"fan": 5})), {}) == Proposal()


@pytest.mark.parametrize(
    ("when", "firing"),
    [
        ({"all": [HOT, LOUD]}, [(11, 11)]),
        ({"any": [HOT, LOUD]}, [(11, 11), (11, 9), (9, 11)]),
        ({"all": [HOT], "any": [LOUD]}, [(11, 11)]),
        ({"all": [HOT]}, [(11, 11), (11, 9)]),
    ],
    ids=["all", "any", "both", "one"],
)
def test_all_conditions_must_hold_and_one_of_any(
    when: dict[str, Any], firing: list[tuple[int, int]]
) -> None:
    tuner = a_tuner(a_rule("r", when, step={"fan": 5}))
    for heat in (9, 11):
        for noise in (9, 11):
            fired = bool(asked(tuner, {"heat": heat, "noise": noise}).deltas)
            assert fired is ((heat, noise) in firing)


@given(st.lists(st.sampled_from((9, 11)), min_size=1, max_size=6), st.integers(1, 4))
def test_a_streak_must_be_complete_and_recent(heats: list[int], streak: int) -> None:
    tuner = a_tuner(a_rule("hot", {"all": [{**HOT, "streak": streak}]}, step={"fan": 5}))
    past: list[dict[str, Value]] = [{"heat": heat} for heat in heats]
    proposal = asked(tuner, *past)
    recent = heats[-streak:]
    assert bool(proposal.deltas) is (len(recent) == streak and min(recent) > 10)


def test_an_undefined_value_breaks_a_streak() -> None:
    tuner = a_tuner(a_rule("hot", {"all": [{**HOT, "streak": 2}]}, step={"fan": 5}))
    assert asked(tuner, {"heat": None}, {"heat": 11}) == Proposal()


def test_has_fires_on_a_word_among_labels() -> None:
    condition = {"metric": "drivers", "op": "has", "value": "dust"}
    tuner = a_tuner(a_rule("dust", {"all": [condition]}, step={"fan": 5}))
    assert asked(tuner, {"drivers": ("heat", "dust")}).deltas == {"fan": 5}
    assert asked(tuner, {"drivers": ("heat",)}) == Proposal()
    assert asked(tuner, {"drivers": ()}) == Proposal()


def test_steps_of_several_rules_on_one_field_are_summed() -> None:
    tuner = a_tuner(
        a_rule("hot", {"all": [HOT]}, step={"fan": 5}),
        a_rule("loud", {"all": [LOUD]}, step={"fan": -2, "valve": 0.1}),
    )
    proposal = asked(tuner, {"heat": 11, "noise": 11})
    assert proposal.deltas == {"fan": 3, "valve": 0.1}
    assert proposal.reason("fan") == "hot+loud"
    assert proposal.reason("valve") == "loud"


def test_steps_that_cancel_out_are_no_change() -> None:
    tuner = a_tuner(
        a_rule("hot", {"all": [HOT]}, step={"fan": 5}),
        a_rule("loud", {"all": [LOUD]}, step={"fan": -5}),
    )
    assert asked(tuner, {"heat": 11, "noise": 11}).deltas == {}


def test_a_field_is_changed_no_more_often_than_allowed_and_the_rest_is_withheld() -> None:
    rules = [a_rule(f"r{n}", {"all": [HOT]}, step={"fan": 5}) for n in range(3)]
    proposal = asked(a_tuner(*rules, max_changes_per_field=2), {"heat": 11})
    assert proposal.deltas == {"fan": 10}
    assert proposal.withheld == ("max_changes_per_field: fan (r2)",)
    assert asked(a_tuner(*rules), {"heat": 11}).deltas == {"fan": 15}


def test_a_rule_that_may_not_change_one_field_still_changes_the_others() -> None:
    tuner = a_tuner(
        a_rule("hot", {"all": [HOT]}, step={"fan": 5}),
        a_rule("loud", {"all": [LOUD]}, step={"fan": 5, "valve": 0.1}),
        max_changes_per_field=1,
    )
    proposal = asked(tuner, {"heat": 11, "noise": 11})
    assert proposal.deltas == {"fan": 5, "valve": 0.1}
    assert proposal.withheld == ("max_changes_per_field: fan (loud)",)


@pytest.mark.parametrize(("heat", "noise", "deltas"), [(9, 9, {"fan": 1}), (11, 9, {"valve": 0.1})])
def test_only_if_no_other_fires_alone(heat: int, noise: int, deltas: dict[str, float]) -> None:
    always = {"metric": "heat", "op": ">", "value": 0}
    tuner = a_tuner(
        a_rule("idle", {"all": [always]}, step={"fan": 1}, only_if_no_other=True),
        a_rule("hot", {"all": [HOT]}, step={"valve": 0.1}),
    )
    assert asked(tuner, {"heat": heat, "noise": noise}).deltas == deltas


@pytest.mark.parametrize(("count", "deltas"), [(2, {"fan": 10}), (3, {"valve": -0.2})])
def test_enough_triggers_at_once_are_replaced_by_multi_fail(
    count: int, deltas: dict[str, float]
) -> None:
    rules = [a_rule(f"r{n}", {"all": [HOT]}, step={"fan": 5}) for n in range(count)]
    package = {"triggers": 3, "step": {"valve": -0.2}, "reason": "many"}
    proposal = asked(a_tuner(*rules, multi_fail=package), {"heat": 11})
    assert proposal.deltas == deltas
    if count == 3:
        assert proposal.reasons == ("many",)
        assert proposal.withheld == ("many", "r0", "r1", "r2")


def test_a_trigger_with_only_if_no_other_does_not_count_for_multi_fail() -> None:
    rules = [
        a_rule("a", {"all": [HOT]}, step={"fan": 5}),
        a_rule("b", {"all": [HOT]}, step={"fan": 5}),
        a_rule("c", {"all": [HOT]}, step={"fan": 1}, only_if_no_other=True),
    ]
    package = {"triggers": 3, "step": {"valve": -0.2}, "reason": "many"}
    assert asked(a_tuner(*rules, multi_fail=package), {"heat": 11}).deltas == {"fan": 10}


@pytest.mark.parametrize(
    ("old", "deltas"),
    [(20, {"fan": 5}), (27, {"fan": 3}), (30, {}), (50, {})],
    ids=["free", "cut", "at the stop", "beyond it"],
)
def test_a_rule_raises_nothing_above_its_stop(old: float, deltas: dict[str, float]) -> None:
    tuner = a_tuner(a_rule("hot", {"all": [HOT]}, step={"fan": 5}, not_above={"fan": 30}))
    assert asked(tuner, {"heat": 11}, fan=old).deltas == deltas


@pytest.mark.parametrize(
    ("old", "deltas"),
    [(20, {"fan": -5}), (13, {"fan": -3}), (10, {}), (4, {})],
    ids=["free", "cut", "at the stop", "beyond it"],
)
def test_a_rule_lowers_nothing_below_its_stop(old: float, deltas: dict[str, float]) -> None:
    tuner = a_tuner(a_rule("cool", {"all": [HOT]}, step={"fan": -5}, not_below={"fan": 10}))
    assert asked(tuner, {"heat": 11}, fan=old).deltas == deltas


@pytest.mark.parametrize(("old", "deltas"), [(20, {"fan": 15}), (35, {}), (60, {})])
def test_at_least_is_a_step_just_large_enough(old: float, deltas: dict[str, float]) -> None:
    tuner = a_tuner(a_rule("hot", {"all": [HOT]}, at_least={"fan": 35}))
    assert asked(tuner, {"heat": 11}, fan=old).deltas == deltas


def test_the_higher_priority_alone_counts_on_a_field() -> None:
    tuner = a_tuner(
        a_rule("driver", {"all": [LOUD]}, step={"fan": -5, "valve": 0.1}),
        a_rule("zone", {"all": [HOT]}, step={"fan": 2}, priority=1),
    )
    proposal = asked(tuner, {"heat": 11, "noise": 11})
    assert proposal.deltas == {"fan": 2, "valve": 0.1}
    assert proposal.reason("fan") == "zone"
    assert asked(tuner, {"heat": 9, "noise": 11}).deltas == {"fan": -5, "valve": 0.1}


def test_a_rule_of_higher_priority_counts_even_if_it_is_held() -> None:
    tuner = a_tuner(
        a_rule("driver", {"all": [LOUD]}, step={"fan": 5}),
        a_rule("zone", {"all": [HOT]}, step={"fan": 2}, not_above={"fan": 20}, priority=1),
    )
    assert asked(tuner, {"heat": 11, "noise": 11}, fan=20) == Proposal(reasons=("driver", "zone"))


@given(st.integers(0, 1000), st.lists(st.integers(-150, 150), min_size=1, max_size=3))
def test_the_sum_of_steps_is_cut_at_the_cap_and_nowhere_below(old: int, steps: list[int]) -> None:
    start = float(old * Decimal("0.001"))
    rules = [
        a_rule(f"r{n}", {"all": [HOT]}, step={"valve": float(size * Decimal("0.001"))})
        for n, size in enumerate(steps)
    ]
    proposal = asked(a_tuner(*rules, step_cap={"valve": 0.1}), {"heat": 11}, valve=start)
    total = sum(steps)
    wanted = min(max(total, -100), 100) * Decimal("0.001")
    assert Decimal(str(proposal.deltas.get("valve", 0))) == wanted
    assert ("step_cap: valve" in proposal.withheld) is (abs(total) > 100)


def test_a_tuner_requires_every_metric_of_its_rules() -> None:
    tuner = a_tuner(
        a_rule("hot", {"all": [HOT]}, step={"fan": 5}),
        a_rule("loud", {"any": [LOUD, HOT]}, step={"fan": 5}),
    )
    assert tuner.requires == ("heat", "noise")


@pytest.mark.parametrize("corridor", Corridor)
def test_a_table_declares_its_corridor_and_whether_it_is_announced(corridor: Corridor) -> None:
    rule = a_rule("hot", {"all": [HOT]}, step={"fan": 5})
    assert a_tuner(rule, corridor=str(corridor)).corridor is corridor
    assert a_tuner(rule, announce=True).announce is True
    assert a_tuner(rule).announce is False


def test_a_proposal_changes_nothing() -> None:
    tuner = a_tuner(a_rule("hot", {"all": [HOT]}, step={"fan": 5}))
    parameters: dict[str, float] = dict(START)
    past = history({"heat": 11})
    assert tuner.propose(past, parameters) == tuner.propose(past, parameters)
    assert parameters == START
