"""Which earlier runs a run is compared with: the kept, the named and the accepted ones."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.config.baseline import with_baseline
from pytest_soak.config.request import Resume, SourcedValue
from pytest_soak.engine.loop import SoakLoop
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.mode import Mode
from pytest_soak.model.verdict import Verdict
from pytest_soak.store.folder import JOURNAL, RUNS
from pytest_soak.store.journal import read_journal
from pytest_soak.verify.earlier import MOST, recorded_run
from pytest_soak.verify.load import load_validated
from tests.earlier import GATES, STEADY, rewrite, session, soaked
from tests.fuzz.chains import asked, core, planned, resumed
from tests.support import ODD, told

if TYPE_CHECKING:
    from collections.abc import Callable

LATENCY = "latency_p95_ms"
RECORDED = Path(__file__).parents[2] / "fixtures" / "recorded_0_1_0"


def found(folder: Path, wish: str = "", day: int = 30, **options: Any) -> dict[str, Any]:
    """Return what a run on a *day* would be compared with."""
    given = {"baseline": wish} if wish else {}
    options = {"gate": list(GATES), "mode": Mode.OFF, **given, **options}
    request = asked(folder, session=session(day), **options)
    compared = with_baseline(planned(request, own=True), request, {}).compared
    assert compared is not None
    return dict(compared)


def refusal(folder: Path, wish: str, **options: Any) -> str:
    """Return why *wish* is refused."""
    with pytest.raises(SoakUsageError) as raised:
        found(folder, wish, **options)
    return str(raised.value)


def days(compared: dict[str, Any]) -> list[int]:
    """Return the days of the runs in *compared*."""
    return [int(run["run"][6:8]) for run in compared["runs"]]


def judged(loop: SoakLoop) -> Any:
    """Return what the criterion said of the run of *loop*."""
    records = load_validated(loop.store.folder / JOURNAL)
    (word,) = (one for one in records[-1]["criteria"] if one["criterion"] == "baseline")
    return word


def test_the_newest_good_runs_of_any_seed_are_compared_with_the_oldest_first(
    tmp_path: Path,
) -> None:
    for day in range(1, 8):
        soaked(tmp_path, day, seed=day % 2)
    compared = found(tmp_path, seed=5)
    assert days(compared) == [3, 4, 5, 6, 7]
    assert (compared["source"], compared["why"], compared["level"]) == ("kept", "", None)
    assert compared["metrics"] == [LATENCY]
    values = compared["runs"][0]["values"]
    assert values == {LATENCY: {"n": 8, "mean": 100.0, "sigma": pytest.approx(0.606, rel=0.01)}}
    assert days(found(tmp_path, day=7)) == [2, 3, 4, 5, 6]  # its own pytest run does not count


def test_runs_that_failed_have_not_ended_or_are_of_another_family_do_not_count(
    tmp_path: Path,
) -> None:
    soaked(tmp_path, 1)
    soaked(tmp_path, 2, level=1000)
    soaked(tmp_path, 3, ends=False)
    soaked(tmp_path, 4, scenario="calm")
    soaked(tmp_path, 5, level=10, gates=(*GATES, f"warn:{LATENCY}<=1"))
    compared = found(tmp_path)
    assert days(compared) == [1, 5]
    assert [run["verdict"] for run in compared["runs"]] == ["PASS", "WARN"]
    assert compared["left_out"] == []


def test_without_an_earlier_run_there_is_no_baseline_yet(tmp_path: Path) -> None:
    compared = found(tmp_path)
    assert (compared["runs"], compared["why"]) == ([], "no baseline yet")
    assert judged(soaked(tmp_path, 1))["problem"] == "no baseline yet"


def test_a_run_that_is_too_short_does_not_take_the_place_of_a_longer_one(tmp_path: Path) -> None:
    for day in range(1, 6):
        soaked(tmp_path, day)
    for day in range(6, 9):
        soaked(tmp_path, day, values=STEADY[:4])
    assert days(found(tmp_path)) == [1, 2, 3, 4, 5, 6, 7, 8]
    few = [*GATES[1:], "baseline:latency_p95_ms<=+10 %", "baseline:throughput>=-5 %"]
    assert found(tmp_path, gate=few)["metrics"] == [LATENCY, "throughput"]


def test_no_more_runs_are_read_than_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST == 20
    monkeypatch.setattr("pytest_soak.verify.earlier.MOST", 3)
    for day in range(1, 6):
        soaked(tmp_path, day, values=STEADY[:4])
    assert days(found(tmp_path)) == [3, 4, 5]


def test_the_settled_stretch_counts_without_warm_up_and_problems(tmp_path: Path) -> None:
    soaked(tmp_path, 1, values=[900.0, 900.0, *STEADY, None, *STEADY], warm_up=2)
    values = found(tmp_path, "latest")["level"]["values"]
    assert values == {LATENCY: {"n": 16, "mean": 100.0, "sigma": pytest.approx(0.586, rel=0.01)}}


def test_iterations_before_the_last_change_of_parameters_do_not_count(tmp_path: Path) -> None:
    loop = soaked(tmp_path, 1, level=300, mode=Mode.APPLY, observe=3)
    level = found(tmp_path, "latest", mode=Mode.APPLY)["level"]
    stretch = load_validated(loop.store.folder / JOURNAL)[-1]["stretch"]
    assert level["values"][LATENCY]["n"] == stretch["last"] - stretch["first"] + 1 == 3


def test_a_metric_that_was_inconclusive_does_not_count(tmp_path: Path) -> None:
    soaked(tmp_path, 1, gates=(*GATES, f"min_n:{LATENCY}>=5"))
    assert found(tmp_path, "latest")["level"]["values"] == {}


@pytest.mark.parametrize("name", ["tuned", "rolled_back", "resumed"])
def test_journals_of_0_1_0_count_too(name: str) -> None:
    (journal,) = (RECORDED / name).glob(f"*/{JOURNAL}")
    recorded = recorded_run(journal)
    assert recorded is not None
    sums = recorded.sums([LATENCY])
    assert sums["verdict"] == recorded.verdict
    assert sums["values"][LATENCY]["n"] >= 2


def test_in_0_1_0_the_observation_window_counts() -> None:
    (journal,) = (RECORDED / "tuned").glob(f"*/{JOURNAL}")
    recorded = recorded_run(journal)
    assert recorded is not None
    assert load_validated(journal)[-1]["window"] == [5, 6]  # the parameters are those of 4, too
    assert recorded.sums([LATENCY])["values"][LATENCY]["n"] == 2


def test_what_each_run_said_is_verified(tmp_path: Path) -> None:
    """The run is compared by the criterion, and `verify` finds the same from the journal alone."""
    for day in range(1, 6):
        soaked(tmp_path, day, level=day / 10)
    worse = soaked(tmp_path, 6, level=50)
    assert judged(worse)["verdict"] == "FAIL"
    assert judged(worse)["detail"].startswith("worse: against 5 runs, the last 20260105")
    shutil.rmtree(worse.store.folder / RUNS)  # the old runs are not needed
    code, lines = told("verify", "--soak-dir", tmp_path)
    assert (code, lines[-1][:10]) == (0, "0 findings")


FORGED: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "a value": lambda records: records[3]["summary"]["metrics"].update({LATENCY: 1.0}),
    "a report": lambda records: records[3]["report"]["totals"].update({LATENCY: 1.0}),
    "a verdict": lambda records: records[-1].update(verdict="WARN"),
    "an iteration left out": lambda records: records.pop(4),
    "a summary of no shape": lambda records: records[3].update(summary=[1]),
    "no judgements": lambda records: records[3].pop("judgements"),
    "parameters of no shape": lambda records: records[3]["summary"].update(parameters=None),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_run_is_left_out_and_told(tmp_path: Path, name: str) -> None:
    soaked(tmp_path, 1)
    forged = soaked(tmp_path, 2)
    rewrite(forged, FORGED[name])
    compared = found(tmp_path)
    assert days(compared) == [1]
    (left,) = compared["left_out"]
    assert left["run"] == forged.plan.run_id
    assert str(forged.store.folder / JOURNAL) in left["why"]


def test_a_run_that_cannot_be_checked_without_an_extra_is_left_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 5):
        soaked(tmp_path, day)
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    compared = found(tmp_path)
    assert days(compared) == [1, 2, 3]  # these were compared with too few runs
    (left,) = compared["left_out"]
    assert "journal.jsonl: its verdict needs scipy; install pytest-soak[stats]" in left["why"]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a byte": lambda data: data.replace(b'"iteration": 3', b'"iteration": 4', 1),
    "the last line": lambda data: data[: data.rindex(b"{")] + b"[]\n",
    "a line": lambda data: data.replace(b"\n", b"\nx\n", 1),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_run_is_left_out_and_told(tmp_path: Path, name: str) -> None:
    damaged = soaked(tmp_path, 1)
    journal = damaged.store.folder / JOURNAL
    journal.write_bytes(DAMAGE[name](journal.read_bytes()))
    compared = found(tmp_path)
    assert days(compared) == []
    assert [one["run"] for one in compared["left_out"]] == [damaged.plan.run_id]
    assert JOURNAL in refusal(tmp_path, "20260101")


@pytest.mark.parametrize("what", ODD)
def test_nothing_is_read_but_regular_files_in_folders(tmp_path: Path, what: str) -> None:
    elsewhere = soaked(tmp_path / "elsewhere", 1).store.folder
    soak_dir = tmp_path / "soak"
    for folder in (soak_dir / "test_x-1", soak_dir / "test_x-1" / RUNS / "r"):
        folder.mkdir(parents=True)
        ODD[what](folder / JOURNAL)
    (soak_dir / "linked").symlink_to(elsewhere)
    (soak_dir / "test_x-1" / RUNS / "linked").symlink_to(elsewhere)
    (soak_dir / "test_x-2").mkdir()
    (soak_dir / "test_x-2" / JOURNAL).symlink_to(elsewhere / JOURNAL)
    assert found(soak_dir)["runs"] == []


def test_a_rollback_after_the_end_leaves_the_verdict(tmp_path: Path) -> None:
    loop = soaked(tmp_path, 1, level=300, mode=Mode.APPLY)
    before = found(tmp_path, "latest", mode=Mode.APPLY)["level"]
    assert told("rollback", "--soak-dir", tmp_path, "--to-iter", 0)[0] == 0
    assert read_journal(loop.store.folder / JOURNAL)[-1]["kind"] == "rolled_back"
    assert found(tmp_path, "latest", mode=Mode.APPLY)["level"] == before


@pytest.mark.parametrize(
    ("wish", "day"),
    [("latest", 4), ("previous", 3), ("last-pass", 3), ("20260102", 2), ("20260104T", 4)],
)
def test_a_run_can_be_named(tmp_path: Path, wish: str, day: int) -> None:
    for good in (1, 2, 3):
        soaked(tmp_path, good)
    soaked(tmp_path, 4, level=1000)
    soaked(tmp_path, 5, ends=False)
    compared = found(tmp_path, wish)
    assert compared["source"] == wish
    assert compared["level"]["run"].startswith(f"202601{day:02}")
    assert days(compared) == {4: [1, 2, 3], 3: [1, 2], 2: [3]}[day]


def test_a_name_that_fits_no_run_or_several_is_told_with_what_there_is(tmp_path: Path) -> None:
    one, two = soaked(tmp_path, 1), soaked(tmp_path, 2)
    runs = f"{one.plan.run_id}, {two.plan.run_id}"
    assert refusal(tmp_path, "1999") == (f"--soak-baseline: unknown run '1999'; there are: {runs}")
    several = f"{two.plan.run_id}, {one.plan.run_id}"
    assert refusal(tmp_path, "2026") == (f"--soak-baseline: '2026' matches several runs: {several}")
    assert "there are: none" in refusal(tmp_path / "empty", "latest")


def test_a_run_without_a_verdict_or_of_another_family_is_refused(tmp_path: Path) -> None:
    soaked(tmp_path, 1, ends=False)
    other = soaked(tmp_path, 2, scenario="calm")
    assert "20260101" in refusal(tmp_path, "20260101")
    assert refusal(tmp_path, "20260101").endswith("has no verdict; allowed: a run that has ended")
    family = f"run {other.plan.run_id} is of another family: its scenario is 'calm', not 'busy'"
    assert refusal(tmp_path, "20260102") == f"--soak-baseline: {family}"
    assert refusal(tmp_path, str(other.store.folder)) == f"--soak-baseline: {family}"


def test_at_most_20_runs_are_listed(tmp_path: Path) -> None:
    for day in range(1, 23):
        soaked(tmp_path, day, values=STEADY[:2])
    assert refusal(tmp_path, "2026").endswith(", and 2 more")
    assert "and 2 more" in refusal(tmp_path, "1999")


def test_a_path_may_be_a_journal_a_run_or_the_soaks_of_another_machine(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    first = soaked(here, 1)
    theirs = [soaked(there, day, level=day) for day in (2, 3, 4)]
    last = theirs[-1]
    for path in (last.store.folder, last.store.folder / JOURNAL):
        compared = found(here, str(path))
        assert compared["source"] == str(path)
        assert compared["level"]["run"] == last.plan.run_id
        assert days(compared) == [1]
    compared = found(here, str(last.store.folder / RUNS / theirs[0].plan.run_id))
    assert compared["level"]["run"] == theirs[0].plan.run_id
    compared = found(here, str(there))
    assert (days(compared), compared["level"]) == ([2, 3, 4], None)
    shutil.rmtree(first.store.folder)
    alone = found(here, str(last.store.folder))
    assert alone["why"] == "no other run tells how much runs differ"


def test_a_path_without_a_run_of_the_family_is_refused(tmp_path: Path) -> None:
    other = soaked(tmp_path / "busy", 1, scenario="calm")
    broken = soaked(tmp_path / "broken", 1)
    rewrite(broken, lambda records: records.pop(2))
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("text")
    places = {
        "nowhere": "there is no such file or folder; allowed: a run's id",
        "empty": "it has runs of no test",
        "text": "is no journal of a run",
        "busy": f"it has runs of {other.plan.name}",
        "broken": f"it has {broken.plan.run_id}: ",
    }
    for name, words in places.items():
        message = refusal(tmp_path, str(tmp_path / name))
        assert message.startswith(f"--soak-baseline: {tmp_path / name}")
        assert words in message


def test_no_comparison_and_a_required_one(tmp_path: Path) -> None:
    soaked(tmp_path, 1)
    none = found(tmp_path, "none")
    assert (none["runs"], none["why"]) == ([], "--soak-baseline: none")
    assert found(tmp_path, "required")["required"]
    assert days(found(tmp_path, "required")) == [1]
    assert not found(tmp_path)["required"]
    loop = soaked(tmp_path, 2, baseline="required")
    assert loop.plan.baseline.required


def test_without_a_kpi_that_is_compared_nothing_is_looked_for(tmp_path: Path) -> None:
    request = asked(tmp_path, gate=list(GATES[1:]))
    assert with_baseline(planned(request), request, {}).describe()["baseline"] is None
    message = refusal(tmp_path, "latest", gate=list(GATES[1:]))
    assert message.startswith("--soak-baseline: latest given, but no KPI of test_x.py::test_x is")
    none = asked(tmp_path, gate=list(GATES[1:]), baseline="none")
    assert with_baseline(planned(none), none, {}).compared is None


def accept(folder: Path, run: str, *args: str) -> list[str]:
    code, lines = told("baseline", "accept", run, "--soak-dir", folder, *args)
    assert code == 0, lines
    return lines


def test_a_slow_decay_is_followed_by_kept_runs_and_not_by_an_accepted_one(tmp_path: Path) -> None:
    for day in range(1, 6):
        soaked(tmp_path, day, level=day % 2)
    accept(tmp_path, "latest")
    shutil.rmtree(next(tmp_path.glob("test_x-*")))  # the copies are enough
    verdicts = [judged(soaked(tmp_path, day, level=day - 5))["verdict"] for day in range(6, 22)]
    assert verdicts[0] == "PASS"
    assert verdicts[-1] == "FAIL"
    kept = tmp_path / "kept"
    followed = [judged(soaked(kept, day, level=day - 5))["verdict"] for day in range(6, 22)]
    assert "FAIL" not in followed


def test_accepting_the_new_level_ends_the_failing(tmp_path: Path) -> None:
    for day in range(1, 6):
        soaked(tmp_path, day, level=day % 2)
    accept(tmp_path, "latest")
    changed = soaked(tmp_path, 6, level=50)
    assert judged(changed)["verdict"] == "FAIL"
    lines = accept(tmp_path, "20260106")
    assert lines[0].startswith(f"accepted {changed.plan.run_id} (FAIL) of test_x.py::test_x (")
    again = soaked(tmp_path, 7, level=50)
    assert judged(again)["verdict"] == "PASS"
    assert f"against {changed.plan.run_id}, with the spread of " in judged(again)["detail"]
    assert judged(soaked(tmp_path, 8, level=0))["detail"].startswith("better: ")
    assert told("verify", "--soak-dir", tmp_path)[0] == 0
    code, lines = told("baseline", "forget", "--soak-dir", tmp_path)
    assert (code, lines[0][:23]) == (0, "forgot the accepted run")
    assert found(tmp_path)["source"] == "kept"


def test_an_accepted_first_run_is_compared_with_once_others_tell_the_spread(
    tmp_path: Path,
) -> None:
    soaked(tmp_path, 1)
    assert accept(tmp_path, "latest")[1] == (
        "0 other runs tell how much runs differ; needed: 3, or as many later ones"
    )
    for day in (2, 3, 4):
        assert judged(soaked(tmp_path, day, level=day % 2))["verdict"] is None
    assert judged(soaked(tmp_path, 5))["verdict"] == "PASS"


def test_runs_of_a_level_before_the_accepted_one_do_not_widen_the_spread(tmp_path: Path) -> None:
    for day in range(1, 5):
        soaked(tmp_path, day)
    accept(tmp_path, "latest")
    soaked(tmp_path, 5, level=50)
    accept(tmp_path, "20260105")  # too few of the new level: the spread is that of then
    assert days(found(tmp_path)) == [1, 2, 3]
    for day in range(6, 9):
        soaked(tmp_path, day, level=50)
    soaked(tmp_path, 9, level=80)
    accept(tmp_path, "20260109")
    assert days(found(tmp_path)) == [6, 7, 8]
    accept(tmp_path, "20260104")  # back again
    assert days(found(tmp_path))[:3] == [1, 2, 3]


ANCHOR = (
    '{"v": 1, "family": "%s", "chain": "", "runs": [], "accepted": {"run": "%s", "verdict": '
    '"PASS", "values": {"x": {"n": %s, "mean": 1, "sigma": %s}}}}'
)
HOSTILE_ANCHORS = {
    "no run id": (("r", 1, 0), "matching regex"),
    "too many values": ((session(1), 10**400, 0), ""),
    "more values than a run has": ((session(1), 10**12, 0), "<= 1000000000"),
    "a spread beyond all measure": ((session(1), 8, 10**300), "<= 2"),
}


@pytest.mark.parametrize("name", HOSTILE_ANCHORS)
def test_an_anchor_that_no_run_can_give_is_refused(tmp_path: Path, name: str) -> None:
    soaked(tmp_path, 1)
    accept(tmp_path, "latest")
    (path,) = (tmp_path / "baselines").iterdir()
    values, why = HOSTILE_ANCHORS[name]
    path.write_text(ANCHOR % (path.stem, *values))
    message = refusal(tmp_path, "required")
    assert str(path) in message
    assert why in message


BROKEN_ANCHORS = {
    "text": "no JSON",
    "list": "[]",
    "nan": '{"v": 1, "family": "F", "chain": "", "runs": [], "accepted": {"run": "r", '
    '"verdict": "PASS", "values": {"x": {"n": 1, "mean": NaN, "sigma": 0}}}}',
    "of another family": '{"v": 1, "family": "F", "chain": "", "runs": [], "accepted": '
    '{"run": "r", "verdict": "PASS", "values": {}}}',
}


@pytest.mark.parametrize("name", BROKEN_ANCHORS)
def test_a_broken_anchor_is_refused_and_can_be_forgotten(tmp_path: Path, name: str) -> None:
    soaked(tmp_path, 1)
    accept(tmp_path, "latest")
    (path,) = (tmp_path / "baselines").iterdir()
    path.write_text(BROKEN_ANCHORS[name])
    message = refusal(tmp_path, "required")
    assert str(path) in message
    assert "`pytest-soak baseline forget` removes it" in message
    assert told("baseline", "forget", "--soak-dir", tmp_path)[0] == 0
    assert not path.exists()


@pytest.mark.parametrize("what", ["a link", "a pipe", "a folder"])
def test_an_anchor_that_is_no_regular_file_is_refused(tmp_path: Path, what: str) -> None:
    soaked(tmp_path, 1)
    accept(tmp_path, "latest")
    (path,) = (tmp_path / "baselines").iterdir()
    path.unlink()
    ODD[what](path)
    assert f"it is {what}" in refusal(tmp_path, "required")


def test_a_folder_of_anchors_that_is_a_link_is_refused(tmp_path: Path) -> None:
    soaked(tmp_path / "soak", 1)
    (tmp_path / "victim").mkdir()
    (tmp_path / "soak" / "baselines").symlink_to(tmp_path / "victim")
    code, lines = told("baseline", "accept", "latest", "--soak-dir", tmp_path / "soak")
    assert (code, "it is a link" in lines[0]) == (4, True)
    assert list((tmp_path / "victim").iterdir()) == []
    assert "it is a link" in refusal(tmp_path / "soak", "required")


def test_a_resumed_run_is_compared_with_what_was_found_when_it_began(tmp_path: Path) -> None:
    for day in (1, 2, 3):
        soaked(tmp_path, day, seed=day)
    began = soaked(tmp_path, 4, ends=False, values=[*STEADY])
    soaked(tmp_path, 5, seed=5)
    request = asked(
        tmp_path,
        iterations=8,
        gate=list(GATES),
        session=session(6),
        mode=Mode.OFF,
        resume=Resume.YES,
    )
    chain = resumed(request, own=True)
    assert chain.plan is not None
    assert chain.plan.resumed
    plan = with_baseline(chain.plan, request, {})
    assert plan.compared is not None
    assert days(dict(plan.compared)) == [1, 2, 3]
    required = replace(
        request,
        options={**request.options, "baseline": SourcedValue("required", "--soak-baseline")},
    )
    with pytest.raises(SoakUsageError, match=r"required given, but a resumed run .* \(kept\)"):
        with_baseline(chain.plan, required, {})
    loop = SoakLoop(plan, core(), tmp_path)
    assert loop.plan.compared == began.plan.compared
    loop.finish(loop.conclude())
    loop.close()
    assert loop.recorded is None or loop.recorded.verdict is Verdict.PASS
    assert told("verify", "--soak-dir", tmp_path, "--chain", loop.store.folder.name)[0] == 0


def test_an_iteration_whose_test_did_not_pass_does_not_count(tmp_path: Path) -> None:
    ending = {
        "not_passed": [1],
        "verdict": "INCONCLUSIVE",
        "counts": {"PASS": 7, "INCONCLUSIVE": 1},
        "problems": [{"kind": "test_not_passed", "iteration": 1, "data": {}}],
    }
    rewrite(soaked(tmp_path, 1), lambda records: records[-1].update(ending))
    level = found(tmp_path, "latest")["level"]
    assert level["values"][LATENCY]["n"] == len(STEADY) - 1


def test_a_beginning_that_a_run_of_another_family_has_too_names_the_one_of_its_own(
    tmp_path: Path,
) -> None:
    own = soaked(tmp_path, 1)
    soaked(tmp_path, 1, scenario="calm")
    assert found(tmp_path, session(1))["level"]["run"] == own.plan.run_id


def test_a_run_stays_compared_though_another_worker_goes_on_with_it(tmp_path: Path) -> None:
    runs = [soaked(tmp_path, day).plan.run_id for day in (1, 2, 3)]
    soaked(tmp_path, 4, ends=False)
    assert told("baseline", "accept", runs[0], "--soak-dir", tmp_path)[0] == 0
    assert found(tmp_path, day=4)["source"] == "accepted"
    request = asked(tmp_path, session=session(4), gate=list(GATES), mode=Mode.OFF)
    loop = SoakLoop(with_baseline(planned(request, own=True), request, {}), core(), tmp_path)
    loop.close()
    compared = dict(loop.plan.compared or {})
    assert (compared["source"], days(compared)) == ("kept", [1, 2, 3])
