"""`pytest-soak replay` decides recorded soaks again, and shows what differs."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from pytest_soak import hookspecs
from pytest_soak.commands import what_if
from pytest_soak.commands.what_if import Settings, as_recorded, decide_again, replan
from pytest_soak.config.builtin import CorePlugin
from pytest_soak.config.registry import Registry
from pytest_soak.engine.strategies import Strategies
from tests.commands.conftest import TUNED, only_chain, replay, soak
from tests.strategies import tuner
from tests.support import records

if TYPE_CHECKING:
    from pathlib import Path

SLOWLY = tuner('Proposal({"workers": 1}, ("one more",))', name="slowly")


def test_the_recorded_tuner_decides_as_recorded(ended: Path) -> None:
    code, shown, _ = replay("--soak-dir=ended")
    assert code == 0
    assert "demo-table: as recorded" in shown
    assert replay(ended)[0] == replay(ended / "journal.jsonl")[0] == 0


def test_another_tuner_is_shown_with_the_diff_of_the_overrides(
    ended: Path, workplace: Path
) -> None:
    (workplace / "conftest.py").write_text(SLOWLY)
    before = {path: path.stat().st_mtime_ns for path in workplace.rglob("*.json*")}
    code, shown, _ = replay(ended, "--tuner=slowly", "--tuner=demo-table")
    assert code == 1
    lines = shown.splitlines()
    assert lines[2].split()[:3] == ["recorded", "PASS", "1,2,3"]
    assert lines[3].split()[:3] == ["slowly", "PASS", "1,2,3,4"]
    assert "  slowly: differs in 6 of 6 iterations" in lines
    assert "  demo-table: as recorded" in lines
    diff = next(line for line in lines if line.startswith("      diff "))
    patch = json.loads(diff.removeprefix("      diff "))
    assert {"op": "replace", "path": "/workers", "value": 3} in patch
    assert {path: path.stat().st_mtime_ns for path in workplace.rglob("*.json*")} == before


def test_another_gate_gives_another_verdict_and_the_same_decisions(ended: Path) -> None:
    code, shown, _ = replay(ended, "--gate=latency_p95_ms<=200")
    assert code == 1
    rows = [line.split()[:3] for line in shown.splitlines()[2:4]]
    assert rows == [["recorded", "PASS", "1,2,3"], ["demo-table", "FAIL", "1,2,3"]]
    assert "  demo-table: the verdict differs: recorded PASS, replayed FAIL" in shown
    assert "diff" not in shown.replace("differs", "")


def test_another_setting_of_the_pack_is_used(ended: Path) -> None:
    code, shown, _ = replay(ended, "--set=parameters.workers.limits=[1,4]")
    assert code == 1
    assert '"workers": 4}' in shown.splitlines()[3]


def test_what_pyproject_changes_in_a_base_of_the_pack_is_used(workplace: Path) -> None:
    (workplace / "mine.toml").write_text('pack.extends = "demo"')
    (workplace / "pyproject.toml").write_text(
        "[[tool.pytest-soak.packs.demo.rule]]\n"
        'tuner = "demo-table"\nid = "slow"\nstep = { workers = 3 }\n'
    )
    soak(workplace, *TUNED, "--soak-pack=mine.toml", "--soak-dir=mine")
    code, shown, _ = replay("--soak-dir=mine", "--pack=mine.toml")
    assert (code, "as recorded" in shown) == (0, True), shown


def test_the_settings_of_the_recorded_run_are_used_instead_of_current_ones(workplace: Path) -> None:
    gate, seeded = "--soak-gate=latency_p95_ms<=100", '--soak-overrides={"workers": 3}'
    soak(workplace, *TUNED, gate, seeded, "--soak-dir=odd", code=1)
    (workplace / "pyproject.toml").write_text(
        "[tool.pytest-soak.packs.demo.kpis]\nlatency_p95_ms = { fail = '> 900' }\n"
    )
    code, shown, _ = replay("--soak-dir=odd")
    assert (code, "as recorded" in shown) == (0, True), shown


def test_the_noise_of_the_recorded_run_is_used_instead_of_the_current_one(workplace: Path) -> None:
    (workplace / "conftest.py").write_text(SLOWLY.replace('{"workers": 1}', '{"workers": -1}'))
    project = workplace / "pyproject.toml"
    was = project.read_text() if project.exists() else ""
    objective = '[tool.pytest-soak.packs.demo]\nobjective = { metric = "latency_p95_ms", better = '
    known = f'{was}{objective}"down" }}\nnoise.latency_p95_ms = '
    project.write_text(f"{known}0.001\n")
    worse = ("--soak-tuner=slowly", '--soak-overrides={"workers": 12}', "--soak-dir=odd")
    soak(workplace, "--soak-iterations=9", "--auto-tune", *worse, code=1)
    (chain,) = (path for path in (workplace / "odd").glob("test_*") if path.is_dir())
    decided = [record["decision"] for record in records(chain) if record["kind"] == "iteration"]
    assert any(decision["rollback"] for decision in decided)
    for now in (0.001, 1000):
        project.write_text(f"{known}{now}\n")
        code, shown, _ = replay("--soak-dir=odd")
        assert (code, "as recorded" in shown) == (0, True), shown


def test_several_journals_are_compared_one_by_one(ended: Path, keeps: Path, broken: Path) -> None:
    code, shown, _ = replay(ended, keeps)
    assert (code, shown.count("as recorded")) == (0, 2)
    code, shown, _ = replay(broken)  # it has no verdict, so no other verdict is a difference
    assert "recorded    none" in shown
    assert "demo-table  INCONCLUSIVE" in shown
    assert (code, "  demo-table: as recorded" in shown.splitlines()) == (0, True)


def test_an_untuned_soak_is_decided_without_a_tuner(workplace: Path) -> None:
    soak(workplace, "--soak-iterations=5", "--soak-dir=plain", code=1)
    code, shown, _ = replay("--soak-dir=plain")
    assert (code, "  none: as recorded" in shown.splitlines()) == (0, True), shown
    code, shown, _ = replay(
        "--soak-dir=plain", "--gate=latency_p95_ms<=900", "--gate=error_rate<=0.5"
    )
    assert code == 1
    rows = [line.split()[:3] for line in shown.splitlines()[2:4]]
    assert rows == [["recorded", "FAIL", "none"], ["none", "WARN", "none"]]
    assert "diff" not in shown.replace("differs", "")


def test_a_tuned_soak_can_be_decided_without_a_tuner_and_an_untuned_one_with(
    ended: Path, workplace: Path
) -> None:
    code, shown, _ = replay(ended, "--tuner=none")
    assert code == 1
    assert shown.splitlines()[3].split() == ["none", "FAIL", "none", "{}"]  # all reports count
    soak(workplace, "--soak-iterations=5", "--soak-dir=plain", code=1)
    code, shown, _ = replay("--soak-dir=plain", "--tuner=demo-table")
    assert code == 1
    assert shown.splitlines()[3].split()[2].startswith("1,2")


def test_only_some_of_many_different_iterations_are_shown(workplace: Path) -> None:
    soak(workplace, "--soak-iterations=20", "--auto-tune", "--soak-dir=long")
    _, shown, _ = replay("--soak-dir=long", "--gate=latency_p95_ms<=100")
    assert "    and 8 more" in shown


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("ended", "--tuner=nobody"), "--tuner: unknown tuner 'nobody'"),
        (("ended", "--gate=speed>=1"), "--gate: unknown metric 'speed'"),
        (("ended", "--set=guards"), "--set: guards: "),
        (("ended", "--set=guards.cooldwn.iterations=1"), "--set: guards.cooldwn: unknown guard"),
        (("ended", "--set=parameters.workers.limits=1"), "parameters.workers.limits"),
        (("ended", "--pack=nobody"), "--pack: unknown pack 'nobody'"),
        (("ended", "--pack=other.toml"), "--pack: other given; "),
        (("ended", "--run=2"), "RUN: given with --chain or --run"),
        (("ended", "--chain=test"), "RUN: given with --chain or --run"),
        (("nowhere.jsonl",), "nowhere.jsonl: No such file or directory"),
        (("test_demo.py",), "test_demo.py, line 1: "),
    ],
)
def test_a_mistake_is_one_error_line(
    ended: Path, workplace: Path, args: tuple[str, ...], says: str
) -> None:
    demo = resources.files("pytest_soak.packs").joinpath("demo.toml").read_text("utf-8")
    pack = workplace / "other.toml"
    pack.write_text(demo.replace('name = "demo"', 'name = "other"', 1))
    given = [str(ended) if arg == "ended" else arg.replace("other.toml", str(pack)) for arg in args]
    code, _, errors = replay(*given)
    assert code == 4
    (line,) = errors.splitlines()
    assert line.startswith("ERROR: ")
    assert says in line


def test_a_journal_with_invalid_content_is_refused(ended: Path) -> None:
    path = ended / "journal.jsonl"
    first, *_ = records(ended)
    del first["config"]["kpis"]
    path.write_text(json.dumps(first, sort_keys=True, ensure_ascii=False) + "\n")
    code, _, errors = replay(ended)
    assert code == 4
    assert "journal.jsonl" in errors
    assert "Traceback" not in errors


def test_an_error_that_no_record_explains_is_not_hidden(
    ended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise KeyError(*["of ours"])

    monkeypatch.setattr(what_if, "_variants", fails)
    arguments = Namespace(journals=[str(ended)], chain=None, run=None, set=[])
    with pytest.raises(KeyError, match="of ours"):
        what_if.replay(arguments, None)  # type: ignore[arg-type] # not reached


def test_an_error_says_that_pytest_cannot_start(ended: Path, workplace: Path) -> None:
    (workplace / "conftest.py").write_text("import nothing_of_that_name\n")
    code, _, errors = replay(ended)
    assert code == 4
    assert "ERROR: pytest cannot start in this folder" in errors


def test_a_thousand_iterations_are_decided_in_less_than_a_second(workplace: Path) -> None:
    """CPU time of this process alone, the best of three: other processes do not count."""
    soak(workplace, "--soak-iterations=1000", "--auto-tune", "--soak-dir=long")
    journal = only_chain(workplace / "long") / "journal.jsonl"
    plugins = pytest.PytestPluginManager()
    plugins.add_hookspecs(hookspecs)
    plugins.register(CorePlugin(journal))
    registry, found = Registry(plugins), records(journal.parent)

    plan = replan(found, Settings(journal, "demo-table"), {}, registry)

    def spent() -> float:
        start = time.process_time()
        way = decide_again(plan, Strategies(plan, registry), found, "anew")
        end = time.process_time()
        assert way.outcomes == as_recorded(found).outcomes
        assert len(way.outcomes) == 1000
        return end - start

    assert min(spent() for _ in range(3)) < 1


def test_the_old_name_still_works_and_names_the_new_one(ended: Path) -> None:
    code, shown, errors = replay(ended, name="compare")
    assert (code, shown) == replay(ended)[:2]
    assert errors.startswith("NOTE: `pytest-soak compare` is now `pytest-soak replay`")
