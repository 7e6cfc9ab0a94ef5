"""Corners of a soak that few runs ever enter, each with what must come of it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET  # the file is our own
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.store.artifacts import rebuild
from tests.support import DEMO, chain_folder, patches, problems, read_json, records

if TYPE_CHECKING:
    from pathlib import Path

TUNED = ("--soak-iterations=4", "--auto-tune")

ODD = """
from pytest_soak.systems.mock import MockSystem

class Odd(MockSystem):
    def run(self, parameters, iteration, seed, state):
        report, _ = super().run(parameters, iteration, seed, None)
        {mischief}
        return report, None

def pytest_soak_systems():
    return {{"odd": Odd}}
"""

STATEFUL = """
import os
from pathlib import Path

from pytest_soak.systems.mock import MockSystem

class Stateful(MockSystem):
    def run(self, parameters, iteration, seed, state):
        dies = Path("dies")
        if dies.exists() and int(dies.read_text()) == iteration:
            dies.unlink()
            os._exit(9)
        report, _ = super().run(parameters, iteration, seed, None)
        return report, {"seen": [*(state or {"seen": []})["seen"], iteration]}

def pytest_soak_systems():
    return {"stateful": Stateful}
"""
RESUMED = ("--soak-iterations=6", "--auto-tune", "--soak-system=stateful")


def odd(pytester: pytest.Pytester, mischief: str, *args: str) -> pytest.RunResult:
    """Soak the mock with *mischief* done to its report."""
    pytester.makeconftest(ODD.format(mischief=mischief))
    return pytester.runpytest("--soak-system=odd", *args)


def break_off(pytester: pytest.Pytester, iteration: int) -> Path:
    """Leave a run whose process died in *iteration*; return the chain's folder."""
    pytester.makeconftest(STATEFUL)
    pytester.makepyfile(test_demo=DEMO)
    (pytester.path / "dies").write_text(str(iteration))
    assert pytester.runpytest_subprocess(*RESUMED).ret == 9
    return chain_folder(pytester)


def summary(pytester: pytest.Pytester, iteration: int) -> dict[str, Any]:
    found = read_json(chain_folder(pytester) / f"ITER_SUMMARY_{iteration}.json")["summary"]
    assert isinstance(found, dict)
    return found


# What is collected, and what is not


def test_a_parametrized_test_without_a_soak_is_left_out_of_a_soak(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("x", [1, 2])
        def test_other(x):
            assert False

        def test_demo(soak):
            soak.run()
        """
    )
    pytester.runpytest(*TUNED).assert_outcomes(passed=5, deselected=2)


EXTRA = """
import pytest

class Extra(pytest.Item):
    def runtest(self):
        with open("ran", "w") as file:
            file.write(self.name)
"""


def test_an_item_that_a_plugin_adds_to_the_selection_is_left_out(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(
        EXTRA
        + """
def pytest_collection_modifyitems(session, items):
    items.append(Extra.from_parent(session, name="extra"))
"""
    )
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest(*TUNED).assert_outcomes(passed=5, deselected=1)
    assert not (pytester.path / "ran").exists()


def test_an_item_that_a_plugin_runs_besides_is_run_and_no_part_of_a_chain(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(
        EXTRA
        + """
def pytest_collection_finish(session):
    session.items.insert(1, Extra.from_parent(session, name="extra"))
"""
    )
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest(*TUNED).assert_outcomes(passed=6)
    assert (pytester.path / "ran").read_text() == "extra"
    assert read_json(chain_folder(pytester) / "KPI_GATE.json")["problems"] == []


def test_members_that_come_back_with_their_chain_do_not_count_as_deselected(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED, "-k", "iter-00002")
    result.assert_outcomes(passed=5, deselected=0)


def test_a_soak_that_is_asked_for_while_a_test_runs_is_skipped_without_the_option(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("def test_demo(request):\n    request.getfixturevalue('soak').run()")
    result = pytester.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*a soak: run it with --soak-iterations=N*"])


# What is given, and what is refused


def refused(pytester: pytest.Pytester, line: str, *args: str) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


def test_a_number_in_the_ini_file_counts(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nsoak_observe = 3")
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest(*TUNED)
    assert read_json(chain_folder(pytester) / "KPI_GATE.json")["window"] == [2, 3, 4]


def test_a_pyproject_that_is_no_toml_is_named(pytester: pytest.Pytester) -> None:
    (pytester.path / "pytest.ini").write_text("[pytest]\n")
    (pytester.path / "pyproject.toml").write_text("[tool\n")
    refused(pytester, "*pyproject.toml: cannot be read: *line 1*", "-c", "pytest.ini")


def test_a_profile_file_has_numbers_only(pytester: pytest.Pytester) -> None:
    (pytester.path / "mine.toml").write_text("workers = true\nbatch_size = 40\nbackoff_s = 0.2\n")
    refused(
        pytester,
        "*mine.toml: workers: True given; allowed: a finite number",
        "--soak-profile=mine.toml",
    )


def test_a_tuner_with_a_corridor_of_its_own_making_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        class Wide:
            requires = ()
            corridor = "wide"
            def propose(self, history, parameters): ...

        def pytest_soak_tuners():
            return {"wide": lambda pack: Wide()}
        """
    )
    line = "*pytest_soak_tuners, 'wide': corridor is 'wide'; allowed: *apply*"
    refused(pytester, line, "--soak-tuner=wide")


def test_a_secret_that_is_set_lets_the_soak_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRST_KEY", "xylophone")
    monkeypatch.delenv("SECOND_KEY", raising=False)
    pytester.makeconftest(
        ODD.format(mischief="pass").replace(
            "class Odd(MockSystem):",
            'class Odd(MockSystem):\n    secrets = ("FIRST_KEY", "SECOND_KEY")\n',
        )
    )
    refused(pytester, "*the environment variable SECOND_KEY is not set*", "--soak-system=odd")
    monkeypatch.setenv("SECOND_KEY", "yesterday")
    assert pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-system=odd").ret == 0


def test_a_rule_that_pyproject_adds_is_one_more_rule(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml(
        """
        [[tool.pytest-soak.packs.demo.rule]]
        tuner = "demo-table"
        id = "always"
        when.all = [{ metric = "throughput", op = ">", value = 0 }]
        step = { backoff_s = 0.05 }
        reason = "mine"
        """
    )
    result = pytester.runpytest(*TUNED, "--soak-scenario=calm")
    result.stdout.fnmatch_lines(["  - mine"])
    assert patches(chain_folder(pytester))[0] == [
        {"op": "add", "path": "/backoff_s", "value": 0.25}
    ]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("", "*demo.toml: scenario 'busy' has no *; scenarios for the system market: none"),
        (
            "nope = 1",
            "*demo.toml *: scenarios.busy.market: unknown key 'nope'; allowed: *",
        ),
    ],
)
def test_the_market_refuses_a_scenario_that_is_not_its_own(
    pytester: pytest.Pytester, settings: str, line: str
) -> None:
    if settings:
        pytester.makepyprojecttoml(
            f"[tool.pytest-soak.packs.demo.scenarios.busy.market]\n{settings}"
        )
    refused(pytester, line, "--soak-system=market")


# What is recorded


def test_a_system_that_changes_its_parameters_changes_nothing_that_is_recorded(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    odd(pytester, "parameters.update(workers=999, mine=1)", "--soak-iterations=2")
    assert summary(pytester, 1)["parameters"] == {
        "workers": 2,
        "batch_size": 40,
        "backoff_s": 0.2,
    }
    assert summary(pytester, 1)["problems"] == []


def test_an_iteration_that_was_skipped_says_that_it_did_not_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_demo(soak):
            if soak.iteration == 1:
                pytest.skip("later")
            soak.run()
        """
    )
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert problems(summary(pytester, 1)) == ["iteration 1: did not run"]
    assert summary(pytester, 1)["verdict"] == "INCONCLUSIVE"
    assert summary(pytester, 2)["problems"] == []


def test_an_iteration_whose_test_never_asked_for_it_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_demo(soak):\n    assert soak.iteration == 2 or soak.run()")
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert summary(pytester, 1)["problems"] == []
    assert problems(summary(pytester, 2)) == ["iteration 2: its test never called soak.run()"]
    assert summary(pytester, 2)["verdict"] == "INCONCLUSIVE"


def test_an_iteration_that_is_over_cannot_be_run_by_a_later_one(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        held = []

        def test_demo(soak):
            held.append(soak)
            if soak.iteration > 1:
                soak.run()
                held[0].run()
        """
    )
    result = pytester.runpytest("--soak-iterations=2")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*iteration 1 cannot run again: 2 is already recorded"])
    kinds = [(r["kind"], r["iteration"]) for r in records(chain_folder(pytester))]
    assert kinds.count(("iteration", 1)) == kinds.count(("iteration", 2)) == 1


def test_only_changes_that_were_applied_can_be_unverified(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    silent = "del report['parameters']"
    applied = odd(pytester, silent, *TUNED)
    applied.stdout.fnmatch_lines(["| kpi_gate |*UNVERIFIED=1,2 |"])
    recommended = odd(pytester, silent, "--soak-iterations=4", "--soak-recommend")
    recommended.stdout.fnmatch_lines(["| kpi_gate | FAIL |*"])
    assert "UNVERIFIED" not in str(recommended.stdout)
    assert read_json(chain_folder(pytester) / "KPI_GATE.json")["unverified"] == []


def test_artifacts_are_what_the_journal_says(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    odd(pytester, "report = None if iteration == 2 else report", *TUNED)
    folder = chain_folder(pytester)
    implied = dict(rebuild(records(folder)))
    found = {str(path.relative_to(folder)): read_json(path) for path in folder.rglob("*.json")}
    assert found == implied
    assert "EDGE_REPORT_1.json" in found
    assert "EDGE_REPORT_2.json" not in found


# What goes on after it was broken off


def test_a_run_that_died_before_its_first_record_is_resumed(pytester: pytest.Pytester) -> None:
    folder = break_off(pytester, 1)
    result = pytester.runpytest(*RESUMED, "--soak-resume")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["| soak_resume | OK | RUN=* SETTLED=0 |"])
    assert [r["iteration"] for r in records(folder) if r["kind"] == "iteration"] == [*range(1, 7)]


def test_a_torn_record_is_told_in_the_journal_of_the_resumed_run(
    pytester: pytest.Pytester,
) -> None:
    folder = break_off(pytester, 3)
    with (folder / "journal.jsonl").open("a", encoding="utf-8") as journal:
        journal.write('{"iteration": 3, "kind": "run_ended", "half": ')
    result = pytester.runpytest(*RESUMED, "--soak-resume")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["| soak_resume | OK | RUN=* SETTLED=2 |"])
    kinds = [record["kind"] for record in records(folder)]
    assert kinds == [
        "run_started",
        "iteration",
        "iteration",
        "damage_found",
        "run_resumed",
        *["iteration"] * 4,
        "run_ended",
    ]
    assert dict(rebuild(records(folder)))["KPI_GATE.json"] == read_json(folder / "KPI_GATE.json")


def test_a_system_goes_on_from_the_state_it_had(pytester: pytest.Pytester) -> None:
    folder = break_off(pytester, 3)
    pytester.runpytest(*RESUMED, "--soak-resume").assert_outcomes(passed=7)
    assert read_json(folder / "system_state_6.json") == {"seen": [1, 2, 3, 4, 5, 6]}


def test_a_state_that_is_not_the_recorded_one_is_not_gone_on_from(
    pytester: pytest.Pytester,
) -> None:
    folder = break_off(pytester, 3)
    (folder / "system_state_2.json").write_text('{"seen": []}')
    result = pytester.runpytest_subprocess(*RESUMED, "--soak-resume")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*system_state_2.json: not the system's state that the journal*"])


def test_what_passed_before_a_worker_died_counts_as_passed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        from pathlib import Path

        def test_demo(soak):
            soak.run()
            if soak.iteration == 3 and not Path("crashed").exists():
                Path("crashed").touch()
                os._exit(1)
        """
    )
    result = pytester.runpytest("--soak-iterations=6", "--soak-scenario=calm", "-n1")
    result.stdout.fnmatch_lines(["*worker*crashed*"])
    gate = read_json(chain_folder(pytester) / "KPI_GATE.json")
    assert (gate["verdict"], gate["problems"]) == ("PASS", [])


# What is told


def test_a_gate_that_is_run_again_has_each_property_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=3", "--reruns=2", "--junitxml=out.xml")
    gates = ET.parse(pytester.path / "out.xml").findall(".//testcase[@name='test_demo[kpi-gate]']")
    assert len(gates) == 3
    for gate in gates:
        names = [entry.attrib["name"] for entry in gate.iter("property")]
        assert names.count("soak_verdict") == 1
        assert len(names) == len(set(names))


def test_a_rerun_is_told_as_applied_already_only_where_something_was(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        tries = []

        def test_demo(soak):
            soak.run()
            tries.append(soak.iteration)
            assert soak.iteration != 1 or len(tries) > 1
        """
    )
    told = "| iter_watch | APPLY | SKIP | iter=1 already_applied=true |"
    tuned = pytester.runpytest("--soak-iterations=6", "--auto-tune", "--reruns=1")
    assert tuned.parseoutcomes() == {"passed": 7, "rerun": 1}
    assert tuned.outlines.count(told) == 1
    untuned = pytester.runpytest("--soak-iterations=6", "--soak-scenario=calm", "--reruns=1")
    assert untuned.parseoutcomes() == {"passed": 7, "rerun": 1}
    assert "already_applied" not in str(untuned.stdout)


def test_only_a_seeded_value_that_was_cut_is_told_as_cut(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    seeded = '--soak-overrides={"workers": 99, "backoff_s": 0.5}'
    lines = pytester.runpytest("--soak-iterations=1", seeded).outlines
    cut = [line for line in lines if "| CLAMP |" in line]
    assert cut == ["| runtime_override | CLAMP | FIELD=workers FROM=99 TO=16 |"]
    adjusted = "| runtime_adjust | OK | FIELD=backoff_s FROM=0.2 TO=0.5 REASON=manual_override |"
    assert adjusted in lines


@pytest.mark.parametrize(("iterations", "checked"), [(2, [1]), (3, [1]), (6, [1, 2])])
def test_the_file_is_read_back_twice_at_most_and_never_in_the_window(
    pytester: pytest.Pytester, iterations: int, checked: list[int]
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    lines = pytester.runpytest(f"--soak-iterations={iterations}", "--auto-tune").outlines
    shown = [line for line in lines if "| SELF_CHECK |" in line]
    name = "runtime_overrides.json"
    assert shown == [
        f"| iter_watch | SELF_CHECK | Diff for {name} (iter {number}) |" for number in checked
    ]


def test_a_change_that_is_held_is_no_adjustment(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED, '--soak-overrides={"batch_size": 5}')
    result.stdout.fnmatch_lines(
        [
            "| soak_iter_tune | OK | ADJUSTMENTS=2 latency=*",
            "| iter_watch | APPLY | iter=1 params=2 |",
            "  batch_size: 5 → 5 *[[]hold[]]",
        ]
    )


def test_a_metric_of_words_has_a_column_without_a_number(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml(
        """
        [tool.pytest-soak.packs.demo.pack]
        columns = ["drivers"]

        [tool.pytest-soak.packs.demo.metrics.drivers]
        kind = "labels"
        """
    )
    mischief = "report['totals']['drivers'] = ['fees', 'slippage']"
    for args in ((), ("-n1",)):
        result = odd(pytester, mischief, "--soak-iterations=1", *args)
        result.stdout.fnmatch_lines([" iter *drivers *verdict", "    1 * - *FAIL ●"])
        assert summary(pytester, 1)["metrics"]["drivers"] == ["fees", "slippage"]


@pytest.mark.parametrize("args", [("--auto-tune",), ()], ids=["in the window", "untuned"])
def test_a_patch_where_nothing_may_be_applied_is_no_match_for_a_recording(
    pytester: pytest.Pytester, args: tuple[str, ...]
) -> None:
    pytester.makepyfile(
        """
        FORGED = [{"op": "add", "path": "/workers", "value": 9}]

        def test_demo(mock_soak, override_snapshot):
            patch = mock_soak.run().patch
            assert (FORGED if mock_soak.iteration == 6 else patch) == override_snapshot
        """
    )
    command = ("--soak-iterations=6", "--soak-scenario=calm", *args)
    result = pytester.runpytest(*command, "--snapshot-update")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["FAILED *test_demo[[]iter-00006[]]*"])
    recorded = list(pytester.path.glob("__soak_snapshots__/*/*.json"))
    assert [sorted(json.loads(path.read_text())) for path in recorded] == (
        [["1", "2", "3", "4"]] if args else []
    )
