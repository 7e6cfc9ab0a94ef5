"""The check of a criterion of KPIs, on single values, on runs, and on what it reads and records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.config.registry import refuse_criterion
from pytest_soak.engine.strategies import read_judgement, read_run_judgement
from pytest_soak.errors import SoakUsageError, what_raised
from pytest_soak.gates.criteria import CRITERIA, clash, keys, kpi_table, make_kpi
from pytest_soak.model.answers import UnusableAnswer
from pytest_soak.model.metrics import Op
from pytest_soak.model.safe_repr import safe_repr
from pytest_soak.model.stretch import Reading, RunValues, Stretch
from pytest_soak.model.verdict import Verdict
from pytest_soak.packs.check import check, schema_of
from pytest_soak.testing.checks import EXAMPLES, demo_pack, settings_of
from pytest_soak.testing.promises import BrokenPromise, Promise, Stopped
from pytest_soak.testing.watched import Breach, Watched
from pytest_soak.testing.world import ORDER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pytest_soak.model.kpi import Criterion, Kpi, Limit

METRIC = "metric"
VALUES = st.sampled_from([0, -0.0, 1, 0.1, -1, 100, 1e30, -1e30, 1e-30]) | st.floats(-1e30, 1e30)
RESTS = ("", "0", "1", "-1", "1.5", "+10 %", "-10%", "2/h", "1e400", "9" * 400, "nan", "inf", "²")
"""What may follow the comparison of a gate setting."""


def check_criterion(
    kind: type[Criterion],
    settings: Mapping[str, Any],
    *,
    acts: Sequence[float | None],
    earlier: Sequence[Sequence[float]] = (),
    examples: int = EXAMPLES,
    seconds: float = 10.0,
) -> None:
    """Check that a criterion keeps every promise.

    Args:
        kind: Its class, as the hook ``pytest_soak_criteria`` offers it.
        settings: A table ``[kpis.<metric>]`` that sets its keys, and those of others it relies on.
        acts: The values of a run that it must object to; None for an iteration without a value.
        earlier: The values of each earlier run to compare with.
        examples: How many runs are tried.
        seconds: How long one answer may take, in wall-clock time.

    Raises:
        BrokenPromise: With what it did.
    """
    __tracebackhide__ = True
    name = getattr(kind, "name", safe_repr(kind))
    who = f"plugin {getattr(kind, '__module__', '')}, hook pytest_soak_criteria, {name!r}"
    one = _Check(kind, settings, who, seconds, [RunValues.of("earlier", each) for each in earlier])
    one.check_ready()
    one.check_record()
    one.check_grammar()
    seen: list[BrokenPromise] = []

    @settings_of(examples)
    @given(_stretches(one.earlier))
    def drive(stretch: Stretch) -> None:
        try:
            one.judge(stretch)
        except BrokenPromise as broken:
            seen.append(broken)
            raise

    try:
        drive()
    except Stopped as stopped:
        raise stopped.broken from None
    except BrokenPromise:
        raise seen[-1] from None
    edges = [limit.value + way for _, limit in one.limits for way in (-1, 0, 1)]
    one.judge(_stretch(edges, len(edges), one.earlier))
    given_run = _stretch(acts, len(acts), one.earlier)
    if all(word in (None, Verdict.PASS) for word in one.judge(given_run)):
        raise BrokenPromise(Promise.OBJECTS, who, f"it had no objection to {list(acts)}")


class _Check:
    """One criterion under test."""

    def __init__(
        self,
        kind: type[Criterion],
        settings: Mapping[str, Any],
        who: str,
        seconds: float,
        earlier: Sequence[RunValues],
    ) -> None:
        self.kind, self.settings, self.who, self.seconds = kind, settings, who, seconds
        self.earlier = tuple(earlier)
        self.kinds = CRITERIA if kind in CRITERIA else (*CRITERIA, kind)

    def make(self, table: Mapping[str, Any]) -> tuple[Kpi, Criterion]:
        """Return the KPI of a *table*, and the criterion under test in it."""
        kpi = make_kpi(METRIC, table, self.kinds)
        return kpi, next(each for each in kpi.criteria if type(each) is self.kind)

    @property
    def limits(self) -> Sequence[Limit]:
        """The limits that the criterion has with its settings."""
        return self.make(self.settings)[1].limits

    def check_ready(self) -> None:
        """Check what the class declares, and that the settings are allowed."""
        try:
            refuse_criterion(self.who, self.kind)
        except SoakUsageError as error:
            raise self.broken(Promise.READY, str(error)) from None
        fault = clash(
            {f"plugin pytest-soak, {each.name!r}": each for each in CRITERIA if each != self.kind}
            | {self.who: self.kind}
        )
        if fault:
            raise self.broken(Promise.READY, fault)
        settings: Any = self.kind.Settings
        schema = schema_of(settings)
        (table,) = (one for one in schema["$defs"].values() if self._is_ours(one))
        for key, told in table["properties"].items():
            if not told.get("description"):
                what = f"Settings: {key} is not described: Annotated[..., Setting('what it does')]"
                raise self.broken(Promise.READY, what)
        mistakes = check(self.settings, kpi_table(self.kinds), "settings")[1]
        if not mistakes and not set(keys(self.kind)) & set(self.settings):
            raise self.broken(
                Promise.READY, f"`settings` sets none of {', '.join(keys(self.kind))}"
            )
        mistakes = mistakes or self.make(self.settings)[0].mistakes
        if mistakes:
            raise self.broken(Promise.READY, f"`settings`: {mistakes[0]}")

    def _is_ours(self, table: Mapping[str, Any]) -> bool:
        return set(table.get("properties", ())) == set(keys(self.kind))

    def check_record(self) -> None:
        """Check that what is described is JSON that makes the same criterion again."""
        _, criterion = self.make(self.settings)
        try:
            described = criterion.describe()
            read = json.loads(json.dumps(described, allow_nan=False))
        except Exception as error:
            raise self.broken(Promise.RECORD, f"describe() {what_raised(error)}") from error
        if read != described:
            what = f"describe() gave {safe_repr(described)}, which JSON makes {safe_repr(read)}"
            raise self.broken(Promise.RECORD, what)
        rest = {key: value for key, value in self.settings.items() if key not in keys(self.kind)}
        table = rest | {key: value for key, value in read.items() if value is not None}
        mistakes = check(table, kpi_table(self.kinds), "describe()")[1]
        if mistakes:
            raise self.broken(Promise.RECORD, str(mistakes[0]))
        again = set(keys(self.kind)) & set(table) and self.make(table)[1].describe()
        if again != described:
            what = f"describe() gave {safe_repr(described)}, which makes {safe_repr(again)}"
            raise self.broken(Promise.RECORD, what)

    def check_grammar(self) -> None:
        """Check that every gate setting is read or refused."""
        for word in self.kind.words:
            for op in (Op.LE, Op.LT, Op.GE, Op.GT):
                for rest in RESTS:
                    self._check_setting(word, op, rest)

    def _check_setting(self, word: str, op: Op, rest: str) -> None:
        text = f"'{word}:{METRIC}{op}{rest}'"
        try:
            table = self.kind.read_gate(word, op, rest)
        except ValueError:
            return
        except Exception as error:
            raise self.broken(Promise.GRAMMAR, f"at {text} it {what_raised(error)}") from error
        if table is None:
            return
        mistakes = check(table, kpi_table(self.kinds), "settings")[1]
        if mistakes or not set(table) & set(keys(self.kind)):
            told = str(mistakes[0]) if mistakes else safe_repr(table)
            raise self.broken(Promise.GRAMMAR, f"at {text} it set what a pack may not: {told}")

    def judge(self, stretch: Stretch) -> list[Verdict | None]:
        """Return its words on each iteration of *stretch* and on the run, after checking them."""
        kpi, criterion = self.make(self.settings)
        words: list[Verdict | None] = []
        values = [(one.value, one.n) for one in stretch.settled]
        asked = [("judge", (METRIC, *each)) for each in values]
        for method, args in (*asked, ("judge_run", (kpi, stretch))):
            watched = Watched(
                lambda _: self.make(self.settings)[1], demo_pack(), method, self.who, self.seconds
            )
            try:
                answer = getattr(watched, method)(*args)
            except (Exception, SystemExit) as error:
                what = f"{method}{safe_repr(args)} {what_raised(error)}"
                raise self.broken(Promise.ANSWERS, what) from error
            breaches = list(watched.breaches)
            judged: Sequence[Any] = ()
            try:
                if method == "judge_run":
                    judged = read_run_judgement(criterion.name, METRIC, answer)
                else:
                    found = read_judgement(METRIC, answer)
                    judged = (found,) if found else ()
            except UnusableAnswer as fault:
                breaches.append(Breach(Promise.ANSWERS, f"{method}() {fault}"))
            if breaches:
                worst = min(breaches, key=lambda breach: ORDER.index(breach.promise))
                raise self.broken(worst.promise, worst.what)
            words += [one.verdict for one in judged]
            if method == "judge":
                self._compare(criterion, args, judged)
        if not stretch.visits and words and words[-1] not in (None, Verdict.INCONCLUSIVE):
            what = f"judge_run() said {words[-1].name} of a run without a usable value"
            raise self.broken(Promise.NOTHING, what)
        return words

    def _compare(self, criterion: Criterion, args: tuple[Any, ...], judged: Sequence[Any]) -> None:
        """Check that the word on a value is as bad as `limits` says."""
        _, value, _ = args
        due = [verdict for verdict, limit in criterion.limits if limit.broken_by(value)]
        said = max((one.verdict for one in judged), default=Verdict.PASS)
        if said < max(due, default=Verdict.PASS):
            what = f"judge() says {said.name} of {value:g}, `limits` says {max(due).name}"
            raise self.broken(Promise.ANSWERS, what)

    def broken(self, promise: Promise, what: str) -> BrokenPromise:
        """Return the error that *promise* was broken."""
        return BrokenPromise(promise, self.who, what)


@st.composite
def _stretches(draw: st.DrawFn, earlier: tuple[RunValues, ...]) -> Stretch:
    """Return a strategy for runs: short, long, cut by restarts, without values or times."""
    length = draw(st.sampled_from([0, 1, 2, 9, 30]))
    values = draw(st.lists(st.none() | VALUES, min_size=length, max_size=length))
    if draw(st.booleans()):  # a steady run, with values that follow from each other
        values = [100 + draw(st.integers(-3, 3)) * number for number in range(length)]
    due, cut = draw(st.sampled_from([length, 100])), draw(st.integers(0, 30))
    n, timed = draw(st.sampled_from([None, 0, 1, 1000])), draw(st.booleans())
    return _stretch(values, due, earlier if draw(st.booleans()) else (), {cut}, n, timed=timed)


def _stretch(
    values: Sequence[float | None],
    due: int,
    earlier: tuple[RunValues, ...],
    cuts: Collection[int] = (),
    n: int | None = None,
    *,
    timed: bool = True,
) -> Stretch:
    """Return the stretch of a run with these *values*, None for an iteration without one."""
    readings = tuple(
        Reading(number, value, n, number / 10 if timed else None)
        for number, value in enumerate(values, 1)
        if value is not None
    )
    return Stretch(
        1,
        len(values),
        readings,
        readings,
        due=due,
        cuts=frozenset(cuts),
        earlier=earlier,
        no_baseline="" if earlier else "no baseline yet",
        metric=METRIC,
        ran=len(values),
        absent=len(values) - len(readings),
    )
