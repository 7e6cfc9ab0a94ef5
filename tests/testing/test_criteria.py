"""The kit checks criteria: the core's own keep every promise, and planted faults are found."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import pytest

from pytest_soak import Criterion, Judgement, RunJudgement, Setting, Threshold, Verdict
from pytest_soak.gates.baseline import Baseline
from pytest_soak.gates.limits import Limits
from pytest_soak.gates.min_n import MinN
from pytest_soak.gates.optional import Optional
from pytest_soak.gates.trend import Trend
from pytest_soak.model.metrics import Op
from pytest_soak.testing import BrokenPromise, CriterionConformance, Promise, check_criterion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class TestLimits(CriterionConformance):
    strategy = Limits
    settings: ClassVar = {"warn": "> 200", "fail": "> 300", "tolerate": {"share": 0.1}}
    acts: ClassVar = [100, 400, 400]


class TestMinN(CriterionConformance):
    strategy = MinN
    settings: ClassVar = {"min_n": 20}
    acts: ClassVar = [1]


class TestOptional(CriterionConformance):
    strategy = Optional
    settings: ClassVar = {"optional": True}
    acts: ClassVar = [1, None]


class TestTrend(CriterionConformance):
    examples = 15
    strategy = Trend
    settings: ClassVar = {"trend": {"fail": "> 2 / iteration", "least": 9}}
    acts: ClassVar = [3 * number for number in range(30)]


class TestBaseline(CriterionConformance):
    examples = 15
    strategy = Baseline
    settings: ClassVar = {"fail": "> 300", "baseline": {"fail": "worse by 10 %"}}
    earlier: ClassVar = [[100 + (number + run) % 3 for number in range(10)] for run in range(4)]
    acts: ClassVar = [150 + number % 3 for number in range(10)]


@dataclass(frozen=True)
class TopSettings:
    top: Annotated[float | None, Setting("the largest value that is good")] = None


class Top(Criterion):
    """A correct criterion, from which faulty ones are derived."""

    name = "top"
    Settings: ClassVar[Any] = TopSettings
    words = ("top",)
    grammar = "top:METRIC<=X"

    @classmethod
    def read_gate(cls, word: str, op: Op, rest: str) -> Mapping[str, object] | None:
        return {"top": float(rest)} if op is Op.LE and rest.isdecimal() and len(rest) < 9 else None

    def judge(self, metric: str, value: float, n: int | None) -> Judgement | None:
        if value > self.settings.top:
            return Judgement(metric, Verdict.FAIL, value, n, f"> {self.settings.top:g}")
        return None


def found(kind: Any, settings: Mapping[str, Any] | None = None, **more: Any) -> BrokenPromise:
    with pytest.raises(BrokenPromise) as caught:
        check_criterion(kind, settings or {"top": 5}, **{"acts": [9], **more})
    return caught.value


def test_a_correct_criterion_keeps_every_promise() -> None:
    check_criterion(Top, {"top": 5}, acts=[9])


class Remembers(Top):
    def judge(self, metric: str, value: float, n: int | None) -> Judgement | None:
        type(self).asked = getattr(self, "asked", 0) + 1  # type: ignore[attr-defined]
        return Judgement(metric, Verdict.WARN) if self.asked % 2 else None  # type: ignore[attr-defined]


class Passes(Top):
    def judge_run(self, kpi: Any, stretch: Any) -> RunJudgement:
        return RunJudgement(self.name, kpi.metric, Verdict.PASS, n=len(stretch.settled))


class Raises(Top):
    def judge_run(self, kpi: Any, stretch: Any) -> RunJudgement:
        return RunJudgement(self.name, kpi.metric, Verdict.PASS, stretch.settled[0].value)


class Nans(Top):
    def judge_run(self, kpi: Any, stretch: Any) -> RunJudgement:
        return RunJudgement(self.name, kpi.metric, Verdict.PASS, float("nan"))


class Words(Top):
    def judge_run(self, kpi: Any, stretch: Any) -> Any:
        return "FAIL"


class Silent(Top):
    def judge_run(self, kpi: Any, stretch: Any) -> RunJudgement:
        return RunJudgement(self.name, kpi.metric, None)


class NoJudgement(Top):
    def judge(self, metric: str, value: float, n: int | None) -> Any:
        return Verdict.FAIL


class OfAnother(Top):
    def judge(self, metric: str, value: float, n: int | None) -> Judgement:
        return Judgement("latency", Verdict.FAIL, value, n)


class Mild(Top):
    @property
    def limits(self) -> Sequence[tuple[Verdict, Threshold]]:
        return ((Verdict.FAIL, Threshold(Op.GT, 2)),)


class Writes(Top):
    def judge(self, metric: str, value: float, n: int | None) -> None:
        os.unsetenv("SOAK_NOT_SET")


class Adds(Top):
    def judge_run(self, kpi: Any, stretch: Any) -> None:
        object.__setattr__(stretch, "due", stretch.due + 1)


class Objects(Top):
    def describe(self) -> dict[str, Any]:
        return {"top": {self.settings.top}}


class Rounds(Top):
    def describe(self) -> dict[str, Any]:
        return {"top": self.settings.top + 1}


class Renames(Top):
    def describe(self) -> dict[str, Any]:
        return {"highest": self.settings.top}


class Tuples(Top):
    def describe(self) -> dict[str, Any]:
        return {"top": (self.settings.top,)}


class Forgets(Top):
    def describe(self) -> dict[str, Any]:
        return {}


class Reads(Top):
    @classmethod
    def read_gate(cls, word: str, op: Op, rest: str) -> Mapping[str, object] | None:
        return {"top": {"0": 0, "1": 1}[rest]}


class ReadsAnother(Top):
    @classmethod
    def read_gate(cls, word: str, op: Op, rest: str) -> Mapping[str, object] | None:
        return {"fail": "> 3"}


class ReadsText(Top):
    @classmethod
    def read_gate(cls, word: str, op: Op, rest: str) -> Mapping[str, object] | None:
        return {"top": rest}


class NeedsLetters(Top):
    needs: ClassVar[Any] = "scipy"


class Nameless(Top):
    name = ""


class Taken(Top):
    words = ("warn",)


class Changing(Top):
    Settings: ClassVar[Any] = dict


@dataclass(frozen=True)
class UntoldSettings:
    top: float | None = None


class Untold(Top):
    Settings: ClassVar[Any] = UntoldSettings


class NoCriterion:
    name = "none"
    Settings = TopSettings


FAULTS = {
    Remembers: (Promise.SAME_ANSWER, "it answered *"),
    Passes: (Promise.NOTHING, "judge_run() said PASS of a run without a usable value"),
    Raises: (Promise.ANSWERS, "raised IndexError"),
    Nans: (Promise.ANSWERS, "finite numbers"),
    Words: (Promise.ANSWERS, "returned 'FAIL', not a RunJudgement or None"),
    Silent: (Promise.ANSWERS, "None with a problem"),
    NoJudgement: (Promise.ANSWERS, "returned <Verdict.FAIL: 3>, not a Judgement or None"),
    OfAnother: (Promise.ANSWERS, "returned a judgement of 'latency'; allowed: one of 'metric'"),
    Mild: (Promise.ANSWERS, "`limits` says FAIL"),
    Writes: (Promise.OUTSIDE, "judge() did: os.unsetenv"),
    Adds: (Promise.INPUTS, "judge_run() changed its arguments"),
    Objects: (Promise.RECORD, "describe() raised TypeError"),
    Rounds: (Promise.RECORD, "describe() gave {'top': 6"),
    Renames: (Promise.RECORD, "unknown key 'highest'"),
    Tuples: (Promise.RECORD, "which JSON makes {'top': [5"),
    Forgets: (Promise.RECORD, "describe() gave {}"),
    Reads: (Promise.GRAMMAR, "raised KeyError"),
    ReadsAnother: (Promise.GRAMMAR, "it set what a pack may not: {'fail'"),
    ReadsText: (Promise.GRAMMAR, "it set what a pack may not: settings.top"),
    NeedsLetters: (Promise.READY, "needs: 'scipy' given; allowed: a tuple of texts"),
    Nameless: (Promise.READY, "name: '' given; allowed: a text"),
    Taken: (Promise.READY, "both read the word 'warn'"),
    Changing: (Promise.READY, "a frozen dataclass"),
    Untold: (Promise.READY, "Settings: top is not described"),
    NoCriterion: (Promise.READY, "is no subclass of pytest_soak.Criterion"),
    print: (Promise.READY, "is no Criterion: its Settings are no dataclass"),
}


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
def test_a_planted_fault_is_found(kind: Any) -> None:
    promise, what = FAULTS[kind]
    broken = found(kind)
    assert broken.promise is promise, broken
    assert what.rstrip("*") in broken.what


def test_a_criterion_that_objects_to_nothing_is_found() -> None:
    broken = found(Top, acts=[1])
    assert (broken.promise, broken.what) == (Promise.OBJECTS, "it had no objection to [1]")


def test_a_criterion_that_takes_too_long_is_ended() -> None:
    class Hangs(Top):
        def judge_run(self, kpi: Any, stretch: Any) -> None:
            while True:
                pass

    assert found(Hangs, seconds=0.05).promise is Promise.IN_TIME


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"top": "high"}, "`settings`: settings.top: 'high' given"),
        ({"fail": "> 3"}, "`settings` sets none of top"),
        ({"top": 3, "baseline": {"runs": 5}}, "kpis.metric.baseline: neither fail nor warn is set"),
    ],
)
def test_settings_that_a_pack_could_not_have_prove_nothing(
    settings: dict[str, Any], told: str
) -> None:
    broken = found(Top, settings)
    assert broken.promise is Promise.READY
    assert told in broken.what
