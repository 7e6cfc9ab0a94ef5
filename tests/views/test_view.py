"""A view is one class: it collects data where chains run, and prints it on the controller."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from pytest_soak.model.mask import Mask
from pytest_soak.views import views
from pytest_soak.views.markers import LONGEST, MOST
from pytest_soak.views.protocol import View
from pytest_soak.views.terminal import effects_table, metrics_table
from pytest_soak.views.text import not_judged_lines
from tests.support import DEMO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_soak.engine.loop import SoakLoop
    from pytest_soak.model.chain import ChainVerdict

EVIL = "\x1b[2J\x1b[H verdict PASS\x1b[8m \x00 \u202e | kpi_gate | PASS | ::error::x \x9b31m"

EVIL_SYSTEM = f"""
    import pytest

    EVIL = {EVIL!r}

    class Evil:
        def run(self, parameters, iteration, seed, state):
            totals = {{"latency_p95_ms": 100, "error_rate": 0.01, "throughput": 100}}
            report = {{"iteration": iteration, "parameters": dict(parameters), "totals": totals}}
            return report | ({{"problem": EVIL}} if iteration == 2 else {{}}), None

    @pytest.fixture
    def soak_system():
        return Evil()
"""

STRANGERS = """
    from pytest_soak import Judgement, Proposal, Verdict

    class Gate:
        requires = ()

        def judge(self, metrics, n):
            return (Judgement(EVIL, Verdict.FAIL, 1.0, 1, EVIL, EVIL),)

    class Tuner:
        requires = ()

        def propose(self, history, parameters):
            return Proposal({"workers": 1}, (EVIL,), withheld=(EVIL,))

    class Guard:
        def review(self, history, decision, settings):
            return decision.notice(EVIL, EVIL, "workers", EVIL)

    def pytest_soak_gates():
        return {"evil": lambda pack: Gate()}

    def pytest_soak_tuners():
        return {"evil": lambda pack: Tuner()}

    def pytest_soak_guards():
        return {"evil": lambda pack: Guard()}
"""


class Tally(View):
    """Counts its calls, and prints the data that it gets."""

    name = "tally"
    shown: ClassVar[list[str]] = []

    def reported(self, loop: SoakLoop, iteration: int) -> Sequence[Any]:
        return [f"{loop.plan.name} {iteration}"]

    def judged(self, loop: SoakLoop, verdict: ChainVerdict, *, again: bool) -> Sequence[Any]:
        return [f"{verdict.verdict.name} again={again}"]

    def show(self, nodeid: str, parts: Sequence[Any]) -> None:
        self.shown.extend(parts)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line(f"tally of {len(self.shown)}: {self.shown[-1]}")


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> type[Tally]:
    monkeypatch.setattr(views, "VIEWS", (*views.VIEWS, Tally))
    monkeypatch.setattr(Tally, "shown", [])
    return Tally


@pytest.mark.usefixtures("tally")
def test_a_view_is_driven_and_shown_by_its_line_in_the_table(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=3", "--soak-scenario=calm")
    result.stdout.fnmatch_lines(["tally of 4: PASS again=False"])
    assert Tally.shown[:3] == [f"test_demo.py::test_demo {number}" for number in (1, 2, 3)]


def test_a_view_that_overrides_nothing_shows_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(View):
        name = "silent"

    monkeypatch.setattr(views, "VIEWS", (Silent,))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2", "--soak-scenario=calm")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("| *")


@pytest.mark.usefixtures("tally")
def test_a_view_can_be_switched_off_as_a_plugin(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    off = ("-p", "no:soak-tally", "-p", "no:soak-markers")
    result = pytester.runpytest("--soak-iterations=2", *off)
    assert Tally.shown == []
    result.stdout.no_fnmatch_line("| *")
    result.stdout.fnmatch_lines(["*= soak =*"])


def test_secrets_are_masked_before_a_view_shows_anything() -> None:
    class Told(View):
        name = "told"

    collected = views.Views()
    collected._views = {"told": Told()}
    collected.collect(lambda view: [{"key": "hunter2"}, view.name])
    mask = Mask({"KEY": "hunter2"})
    assert collected.drain(mask) == {"told": [{"key": "[secret KEY]"}, "told"]}
    assert collected.drain(mask) == {}, "what was taken is not taken twice"


@pytest.mark.parametrize("distributed", [(), ("-n1",)], ids=["one-process", "xdist"])
def test_text_from_outside_cannot_act_or_look_like_a_marker(
    pytester: pytest.Pytester, distributed: tuple[str, ...]
) -> None:
    pytester.makeconftest(EVIL_SYSTEM + STRANGERS)
    pytester.makepyfile(test_demo=DEMO)
    args = ("--soak-iterations=4", "--auto-tune", "--soak-tuner=evil", "--junitxml=out.xml", "-v")
    result = pytester.runpytest_subprocess(*args, *distributed)
    log = result.stdout.str()
    found = [line for line in log.splitlines() if "kpi_gate" in line]
    assert len(found) == 1
    assert found[0].startswith("| kpi_gate | FAIL | REASONS=")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", log)
    assert not re.search(r"^\s*::error", log, re.MULTILINE)
    assert "| kpi\\x5fgate \\x7c PASS |" in log
    xml = (pytester.path / "out.xml").read_text(encoding="utf-8")
    assert "kpi_gate" not in xml
    assert "\u202e" not in xml


def test_an_item_shows_a_bounded_number_of_lines_each_of_bounded_length(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(
        """
        from pytest_soak import Proposal

        class Tuner:
            requires = ()
            announce = True

            def propose(self, history, parameters):
                reasons = ("x" * 5000, *(f"reason {n}" for n in range(1000)))
                return Proposal({"workers": 1}, reasons)

        def pytest_soak_tuners():
            return {"chatty": lambda pack: Tuner()}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2", "--auto-tune", "--soak-tuner=chatty")
    reasons = [line for line in result.outlines if line.startswith("  - ")]
    assert 0 < len(reasons) < MOST
    assert max(map(len, reasons)) == LONGEST + 1
    result.stdout.fnmatch_lines(["  ... [0-9]* more lines"])


LOUD = f"""
    import os
    import sys
    import warnings

    import pytest
    from pytest_soak import SystemFailure
    from pytest_soak.systems.mock import MockSystem

    EVIL = "\\n" + {EVIL!r} + "\\n| kpi_gate | PASS |\\n::warning::x"

    class Loud(MockSystem):
        def run(self, *args):
            print(EVIL)
            print(EVIL, file=sys.stderr)
            warnings.warn(EVIL)
            how = os.environ["HOW"]
            if how == "exit":
                pytest.exit(EVIL)
            if how == "skip":
                pytest.skip(EVIL)
            if how == "xfail":
                pytest.xfail(EVIL)
            raise SystemFailure(EVIL) if how == "failure" else ValueError(EVIL)

    def pytest_soak_systems():
        return {{"loud": Loud}}

    def pytest_soak_iteration(plan, result):
        raise OSError(EVIL)
"""


@pytest.mark.parametrize("how", ["failure", "an error", "skip", "xfail", "exit"])
def test_what_pytest_reports_of_a_system_cannot_act_or_look_like_a_marker(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("HOW", how)
    pytester.makeconftest(LOUD)
    pytester.makepyfile(test_demo=DEMO)
    args = ("--soak-iterations=2", "--soak-system=loud", "-rA", "--color=no", "-Walways")
    result = pytester.runpytest(*args)
    log = result.stdout.str()
    found = [line for line in log.splitlines() if "kpi_gate" in line]
    assert len(found) == (how != "exit")
    assert all(line.startswith("| kpi_gate | INCONCLUSIVE |") for line in found)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", log)
    assert not re.search(r"^\s*::(error|warning)", log, re.MULTILINE)
    assert not re.search(r"^\s*\|[^|]*\| PASS", log, re.MULTILINE)
    assert "\\x5fgate" in log


HUGE = """
    import os
    from pytest_soak import Judgement, Proposal, Verdict
    from pytest_soak.systems.mock import MockSystem

    MANY = tuple(f"reason {n}" for n in range(1_000_000))
    WHO = os.environ["WHO"]

    class System(MockSystem):
        def run(self, *args):
            report, state = super().run(*args)
            if WHO == "system":
                report["totals"]["blocked"] = dict.fromkeys(MANY, 0)
            return report, state

    class Gate:
        requires = MANY if WHO == "requires" else ()
        def judge(self, metrics, n):
            return (Judgement("a", Verdict.PASS),) * (len(MANY) if WHO == "gate" else 1)

    class Tuner:
        requires = ()
        def propose(self, history, parameters):
            return Proposal({"workers": 1}, MANY if WHO == "tuner" else ("x" * 10**8,))

    class Watcher:
        def observe(self, report, history):
            return dict.fromkeys(MANY, 1) if WHO == "watcher" else {}

    def pytest_soak_systems():
        return {"huge": System}

    def pytest_soak_gates():
        return {"huge": lambda pack: Gate()}

    def pytest_soak_tuners():
        return {"huge": lambda pack: Tuner()}

    def pytest_soak_watchers():
        return {"huge": lambda pack: Watcher()}
"""


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("system", "the report is too large: allowed: 100000 values and 16777216 characters"),
        ("watcher", "'huge': observe() handed over more than 2000 entries, the most allowed"),
        ("gate", "'huge': judge() handed over more than 2000 entries, the most allowed"),
        ("tuner", "'huge': propose() handed over more than 2000 entries, the most allowed"),
        ("words", "'huge': propose() handed over more than 20000 characters of text, the most"),
        ("requires", "'huge': requires: handed over more than 2000 entries, the most allowed"),
    ],
)
def test_what_is_handed_over_is_bounded(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, who: str, said: str
) -> None:
    monkeypatch.setenv("WHO", who)
    pytester.makeconftest(HUGE)
    pytester.makepyfile(test_demo=DEMO)
    args = ("--soak-iterations=2", "--auto-tune", "--soak-system=huge", "--soak-tuner=huge")
    result = pytester.runpytest(*args)
    shown = result.stdout.str() + result.stderr.str()
    assert result.ret == (pytest.ExitCode.USAGE_ERROR if who == "requires" else 1)
    assert said in shown
    files = (path for path in pytester.path.rglob("*") if path.is_file())
    assert sum(path.stat().st_size for path in files) + len(shown) < 200_000


def test_a_metric_that_no_iteration_has_and_that_nothing_judges_has_no_column() -> None:
    columns = [["a", "A", 0], ["b", "B", 0], ["c", "C", 0], ["d", "D", 0]]
    values = [[[None, ""], [None, "INCONCLUSIVE"], [0, ""], [None, ""]]]
    values += [[[1, "PASS"], [None, "INCONCLUSIVE"], [0, ""], [None, ""]]]
    rows = [
        {
            "columns": columns,
            "values": each,
            "iteration": 1,
            "verdict": "PASS",
            "in_window": False,
            "restarted": False,
        }
        for each in values
    ]
    shown = [str(column.header) for column in metrics_table(rows).columns]
    assert shown == [" iter", "A", "B", "C", "verdict"]
    effects = [(1, {"a": (None, None), "b": (0.0, True), "c": (None, None)})]
    effects += [(2, {"a": (1.0, None), "b": (None, None), "c": (None, None)})]
    kept = effects_table(effects, [("a", "A", 0), ("b", "B", 0), ("c", "C", 0), ("d", "D", 0)])
    assert [str(column.header) for column in kept.columns] == ["effect", "A", "B"]


def test_what_was_not_judged_is_one_line_for_each_reason() -> None:
    short, none = "2 iterations to judge by plan, 96 needed", "no value"
    rows = [
        ("limits", "rate", "not judged", "", "", "0", none),
        ("trend", "rss_mb", "not judged", "", "> 2 / h", "0", short),
        ("limits", "errors", "FAIL", "3", "> 2", "6", "6 of 6 iterations"),
        ("trend", "age_ms", "not judged", "", "> 1 / h", "2", short),
    ]
    assert not_judged_lines(rows) == [
        f"not judged: limits rate ({none})",
        f"not judged: trend rss_mb, trend age_ms ({short})",
    ]
