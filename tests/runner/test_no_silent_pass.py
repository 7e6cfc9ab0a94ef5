"""Ways in which a soak could pass, or say what is not so, without anybody noticing."""

from __future__ import annotations

import pytest

from tests.support import DEMO, chain_folder, problems, read_json, records

TUNED = ("--soak-iterations=6", "--auto-tune")

MINE = """
from pytest_soak import Proposal

class Mine:
    requires = ("latency_p95_ms",)
    def __init__(self, pack): ...
    def propose(self, history, parameters):
        {body}
        return Proposal({{"workers": -1}}, ("because",))

def pytest_soak_tuners():
    return {{"mine": Mine}}
"""


def test_a_gate_that_another_plugin_skips_does_not_pass(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                if item.name.endswith("kpi-gate]"):
                    item.add_marker(pytest.mark.skip(reason="who needs a gate"))
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    for args in ((), ("-n1",)):
        result = pytester.runpytest(*TUNED, *args)
        result.assert_outcomes(passed=6, errors=1)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            [
                "KPI gate: skipped, though iterations of its chain ran",
                "  no verdict: the run was broken off before the gate",
            ]
        )


def test_a_gate_that_never_runs_does_not_pass(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        def pytest_runtest_protocol(item):
            return True if item.name.endswith("kpi-gate]") else None
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    for args in ((), ("-n1",)):
        result = pytester.runpytest(*TUNED, *args)
        result.assert_outcomes(passed=6)
        assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_the_gate_has_the_keywords_of_its_test(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers = nightly: long")
    pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                if "nightly" not in item.keywords:
                    item.add_marker(pytest.mark.skip(reason="by day"))
        """
    )
    pytester.makepyfile(test_demo=f"import pytest\n@pytest.mark.nightly\n{DEMO.lstrip()}")
    pytester.runpytest(*TUNED).assert_outcomes(passed=7)


def test_a_condition_of_a_mark_sees_the_names_of_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        SLOW = False

        @pytest.mark.skipif("SLOW", reason="slow")
        def test_demo(soak):
            soak.run()
        """
    )
    pytester.runpytest(*TUNED).assert_outcomes(passed=7)


@pytest.mark.parametrize("where", ["@pytest.mark.xfail", "pytestmark = pytest.mark.xfail"])
def test_an_expected_failure_of_the_test_is_none_of_the_gate(
    pytester: pytest.Pytester, where: str
) -> None:
    pytester.makepyfile(test_demo=f"import pytest\n{where}\n{DEMO.lstrip()}")
    result = pytester.runpytest("--soak-iterations=3")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["KPI gate: FAIL"])


def test_nobody_can_write_to_the_history(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    for body in (
        "history.latest.parameters['workers'] = 500",
        "history.latest.metrics['latency_p95_ms'] = 1",
        "history.latest.n['latency_p95_ms'] = 1",
    ):
        pytester.makeconftest(MINE.format(body=body))
        result = pytester.runpytest(*TUNED, "--soak-tuner=mine")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["*'mine': propose() raised TypeError: 'mappingproxy' object*"])
        assert read_json(chain_folder(pytester) / "runtime_overrides.json") == {}


def test_parameters_given_to_a_tuner_are_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makeconftest(MINE.format(body="parameters['workers'] = 500"))
    pytester.runpytest("--soak-iterations=3", "--auto-tune", "--soak-tuner=mine")
    overrides = read_json(chain_folder(pytester) / "runtime_overrides.json")
    assert overrides == {}  # 2 is the lowest the corridor lets it be


def test_a_swallowed_fault_of_a_strategy_is_inconclusive(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(MINE.format(body="1 / 0"))
    pytester.makepyfile(
        """
        def test_demo(soak):
            try:
                soak.run()
            except BaseException:
                pass
        """
    )
    result = pytester.runpytest(*TUNED, "--soak-tuner=mine", "--soak-scenario=calm")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["KPI gate: INCONCLUSIVE", "*ZeroDivisionError*"])


@pytest.mark.parametrize("n", ["0.0", "-3", "'0'", "True", "None", "2.5"])
def test_a_count_that_is_none_does_not_pass(pytester: pytest.Pytester, n: str) -> None:
    pytester.makeconftest(
        f"""
        from pytest_soak.systems.mock import MockSystem

        class Odd(MockSystem):
            def run(self, *args):
                report, state = super().run(*args)
                report["n"]["error_rate"] = {n}
                return report, state

        def pytest_soak_systems():
            return {{"odd": Odd}}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED, "--soak-system=odd")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["  iteration 6: error_rate *n*"])


def test_a_marked_method_of_unittest_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import unittest
        import pytest

        @pytest.mark.soak
        class TestU(unittest.TestCase):
            def test_u(self):
                assert False

        def test_demo(soak):
            soak.run()
        """
    )
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*::TestU::test_u: marked soak, but cannot be parametrized*"])


def test_a_run_broken_off_is_inconclusive_in_its_artifacts(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_demo(soak):\n    assert soak.run().iteration < 3")
    result = pytester.runpytest("--soak-iterations=3", "--soak-scenario=calm", "-x")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    gate = read_json(chain_folder(pytester) / "KPI_GATE.json")
    assert gate["verdict"] == "INCONCLUSIVE"
    assert problems(gate)[0] == "broken off: the gate did not run"
    assert "iteration 3: its test did not pass" in problems(gate)
    assert read_json(chain_folder(pytester) / "TUNING_REPORT.json")["verdict"] == "INCONCLUSIVE"


RETURNS = {
    "return report": "run() returned dict, not the pair (report, state)",
    "return None": "run() returned NoneType, not the pair (report, state)",
    "return report, state, 3": "run() returned tuple, not the pair (report, state)",
}


@pytest.mark.parametrize("returns", RETURNS)
def test_what_a_system_returns_is_checked(pytester: pytest.Pytester, returns: str) -> None:
    pytester.makeconftest(
        f"""
        from pytest_soak.systems.mock import MockSystem

        class Odd(MockSystem):
            def run(self, *args):
                report, state = super().run(*args)
                {returns}

        def pytest_soak_systems():
            return {{"odd": Odd}}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED, "--soak-system=odd")
    result.assert_outcomes(failed=2, skipped=5)
    result.stdout.fnmatch_lines([f"system odd: {RETURNS[returns]}"])


def test_a_fixture_that_brings_no_system_is_named(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def soak_system():
            return 3

        def test_demo(soak):
            soak.run()
        """
    )
    result = pytester.runpytest(*TUNED)
    result.stdout.fnmatch_lines(["the fixture soak_system gave 3, which has no run()"])


@pytest.mark.parametrize("event", ["started", "iteration", "applied", "verdict"])
def test_a_raising_observer_fails_its_item_and_nothing_else(
    pytester: pytest.Pytester, event: str
) -> None:
    arguments = "plan" if event == "started" else "plan, result"
    arguments = "plan, verdict" if event == "verdict" else arguments
    pytester.makeconftest(f"def pytest_soak_{event}({arguments}):\n    raise OSError('disk')")
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*an observer, hook pytest_soak_{event}, raised OSError: disk *"])
    assert "INTERNALERROR" not in str(result.stdout)


def test_an_observer_that_raises_for_a_soak_that_was_not_run(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("def pytest_soak_iteration(plan, result):\n    raise OSError('disk')")
    pytester.makepyfile("def test_demo(soak):\n    pass")
    result = pytester.runpytest("--soak-iterations=2")
    result.assert_outcomes(failed=2, skipped=1)
    result.stdout.fnmatch_lines(["*an observer, hook pytest_soak_iteration, raised OSError*"])


GATES = {
    "requires = 'error_rate'": "*'mine': requires: 'error_rate'; allowed: a tuple of metrics*",
    "requires = property(lambda self: 1 / 0)": "*'mine'*ZeroDivisionError*",
    "requires = (3,)": "*'mine': requires: (3,); allowed: a tuple of metrics by name",
}


@pytest.mark.parametrize("requires", GATES)
def test_what_a_gate_requires_is_checked(pytester: pytest.Pytester, requires: str) -> None:
    pytester.makeconftest(
        f"""
        class Mine:
            {requires}
            def judge(self, metrics, n):
                return ()

        def pytest_soak_gates():
            return {{"mine": lambda pack: Mine()}}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([GATES[requires]])


def test_a_judgement_with_a_word_of_its_own_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from pytest_soak import Judgement

        class Mine:
            requires = ()
            def judge(self, metrics, n):
                return (Judgement("latency_p95_ms", "PASS"),)

        def pytest_soak_gates():
            return {"mine": lambda pack: Mine()}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED)
    result.stdout.fnmatch_lines(["*'mine': judge() returned*allowed: a metric, a Verdict*"])


def test_a_gate_that_is_run_again_gives_its_verdict_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=3", "--reruns=2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    kinds = [record["kind"] for record in records(chain_folder(pytester))]
    assert kinds.count("run_ended") == 1
    assert str(result.stdout).count("| kpi_gate | FAIL |") == 1


def test_a_tuner_that_was_overruled_is_not_told_as_held(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(MINE.format(body="pass"))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(
        "--soak-iterations=3",
        "--auto-tune",
        "--soak-tuner=demo-table,mine",
        '--soak-overrides={"workers": 8, "backoff_s": 0.9, "batch_size": 50}',
    )
    assert "held_at_bounds" not in str(result.stdout)


def test_the_mock_cannot_be_asked_for_behind_ones_back(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.soak
        def test_demo(request):
            request.getfixturevalue("mock_soak").run()
        """
    )
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*mock_soak must be an argument of the test*"])


def test_a_system_by_option_wins_over_a_fixture_and_is_known(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def soak_system():
            raise_if_used = object()
            return raise_if_used

        def test_demo(soak):
            soak.run()
        """
    )
    assert pytester.runpytest(*TUNED, "--soak-system=mock").ret == 0
    refused = pytester.runpytest(*TUNED, "--soak-system=nope")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR


def test_names_of_sibling_folders_clash_only_where_they_are_used(
    pytester: pytest.Pytester,
) -> None:
    for name in ("one", "two"):
        folder = pytester.mkdir(name)
        (folder / "conftest.py").write_text(MINE.format(body="pass"))
        (folder / f"test_{name}.py").write_text(DEMO)
    assert pytester.runpytest("--soak-iterations=3", "--soak-scenario=calm").ret == 0
    clash = pytester.runpytest(*TUNED, "--soak-tuner=mine")
    assert clash.ret == pytest.ExitCode.USAGE_ERROR
    clash.stderr.fnmatch_lines(["*the name 'mine' is taken by plugin * and plugin *"])


@pytest.mark.parametrize("option", ["--setup-only", "--setup-plan"])
def test_a_soak_is_not_only_set_up(pytester: pytest.Pytester, option: str) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{option}: a soak cannot be set up without being run"])


def test_a_file_in_the_place_of_a_chain_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=1")
    folder = chain_folder(pytester)
    folder.rename(folder.with_suffix(".away"))
    folder.write_text("")
    result = pytester.runpytest("--soak-iterations=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*is in the way: it is to become the folder of a chain"])


@pytest.mark.parametrize("ids", [["a b", "a+b"], ["x" * 300, "y" * 300]])
def test_recordings_of_odd_names_do_not_collide(pytester: pytest.Pytester, ids: list[str]) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.parametrize("x", {ids!r})
        def test_demo(mock_soak, override_snapshot, x):
            assert mock_soak.run().patch == override_snapshot
        """
    )
    assert pytester.runpytest(*TUNED, "--snapshot-update").ret == 0
    assert pytester.runpytest(*TUNED).ret == 0
    assert len(list(pytester.path.glob("__soak_snapshots__/*/*.json"))) == 2


@pytest.mark.parametrize("value", ["-1", "0"])
def test_a_system_refuses_fields_it_cannot_run_with(pytester: pytest.Pytester, value: str) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(
        "--soak-iterations=1",
        "--soak-pack=market-maker",
        f'--soak-overrides={{"concurrency_limit": {value}}}',
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*system market: the parameters it would start with: *concurr*"])
