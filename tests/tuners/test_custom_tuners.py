"""Tuners in a user's conftest: how they are found, what they may do, and how faults are shown."""

from __future__ import annotations

import pytest

from tests.strategies import tuner
from tests.support import DEMO, chain_folder, read_json, records

ARGS = ("--soak-iterations=6", "--auto-tune", "--soak-tuner=mine")
EIGHT_LINES = """
from pytest_soak import Proposal

class Mine:
    requires = ("latency_p95_ms",)
    def __init__(self, pack): ...
    def propose(self, history, parameters):
        return Proposal({"workers": 2, "backoff_s": 0.1}, ("because",))

def pytest_soak_tuners():
    return {"mine": Mine}
"""


def run(pytester: pytest.Pytester, conftest: str, *args: str) -> pytest.RunResult:
    """Run a soak of the demo pack with *conftest*, by default under the tuner `mine`."""
    pytester.makeconftest(conftest)
    pytester.makepyfile(test_demo=DEMO)
    return pytester.runpytest(*(args or ARGS))


def test_a_tuner_with_an_unknown_corridor_is_refused(pytester: pytest.Pytester) -> None:
    result = run(pytester, tuner(members="requires, corridor = (), 'wide'"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*pytest_soak_tuners, 'mine': corridor is 'wide'; allowed: *apply*"]
    )


def test_eight_lines_in_a_conftest_are_a_tuner(pytester: pytest.Pytester) -> None:
    assert len(EIGHT_LINES.replace("\n\n", "\n").strip().splitlines()) == 8
    result = run(pytester, EIGHT_LINES)
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(
        ["| runtime_adjust | OK | FIELD=workers FROM=2 TO=4 REASON=because |", "*tuner mine*"]
    )
    assert pytester.runpytest(*ARGS, "-n2").ret == 0


@pytest.mark.parametrize(
    ("corridor", "highest"), [("", 12), ("corridor = 'apply'", 12), ("corridor = 'limits'", 16)]
)
def test_a_tuner_cannot_leave_its_corridor(
    pytester: pytest.Pytester, corridor: str, highest: int
) -> None:
    greedy = 'Proposal({"workers": 1e9, "backoff_s": -1e9}, ("because",))'
    result = run(pytester, tuner(greedy, members=f"requires = ()\n{corridor}"))
    overrides = read_json(chain_folder(pytester) / "runtime_overrides.json")
    assert overrides["workers"] == highest
    assert overrides["backoff_s"] == (0.1 if highest == 12 else 0)
    result.stdout.fnmatch_lines(
        [f"  workers: 2 → {highest} (Δ=+{highest - 2} requested=*) [[]cap]"]
    )
    result.stdout.fnmatch_lines(["  workers: * (Δ=+0 requested=*) [[]hold]"])


def test_a_tuner_in_a_conftest_of_a_subfolder_is_found(pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("deep")
    (folder / "conftest.py").write_text(tuner('Proposal({"workers": 1})'))
    (folder / "test_demo.py").write_text(DEMO)
    for distribution in ((), ("-n2",)):
        result = pytester.runpytest(*ARGS, "--soak-scenario=calm", *distribution)
        assert result.ret == 0


def test_two_folders_may_offer_the_same_name_unless_it_is_used(
    pytester: pytest.Pytester,
) -> None:
    for name in ("one", "two"):
        folder = pytester.mkdir(name)
        (folder / "conftest.py").write_text(tuner())
        (folder / f"test_{name}.py").write_text(DEMO)
    assert pytester.runpytest("--soak-iterations=3", "--soak-scenario=calm").ret == 0
    clash = pytester.runpytest(*ARGS)
    assert clash.ret == pytest.ExitCode.USAGE_ERROR
    clash.stderr.fnmatch_lines(["*the name 'mine' is taken by plugin * and plugin *"])


def test_two_tuners_that_disagree_on_a_parameter_do_not_change_it(
    pytester: pytest.Pytester,
) -> None:
    other = """
class Other(Mine):
    def propose(self, history, parameters):
        return Proposal({"workers": -1, "batch_size": -2})

def pytest_soak_tuners():
    return {"mine": lambda pack: Mine(), "other": lambda pack: Other()}
"""
    result = run(
        pytester,
        tuner('Proposal({"workers": 1, "batch_size": -5})') + other,
        "--soak-iterations=3",
        "--auto-tune",
        "--soak-tuner=mine,other",
    )
    result.stdout.fnmatch_lines(
        ["| soak_guard | CONFLICT | iter=1 FIELD=workers mine=+1 other=-1 |"]
    )
    overrides = read_json(chain_folder(pytester) / "runtime_overrides.json")
    assert overrides == {"batch_size": 35}


FAULTY = {
    "raises": ("1 / 0", "*propose() raised ZeroDivisionError: division by zero (*conftest.py:18)"),
    "returns nothing": ("None", "*propose() returned None, not a Proposal"),
    "unknown parameter": ("Proposal({'speed': 1})", "*propose() wants to change 'speed'; tunable*"),
    "NaN": ("Proposal({'workers': float('nan')})", "*nan as the delta of workers, not a finite*"),
    "a target as text": ("Proposal({'workers': '4'})", "*'4' as the delta of workers, not*"),
    "a boolean": ("Proposal({'workers': True})", "*True as the delta of workers, not*"),
    "reasons as text": ("Proposal({'workers': 1}, 'why')", "*'why' as its reasons, not a tuple*"),
    "deltas as a list": ("Proposal([1])", "*[[]1] as its deltas, not {parameter: increment}"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_tuner_is_named_and_applies_nothing(pytester: pytest.Pytester, fault: str) -> None:
    body, line = FAULTY[fault]
    result = run(pytester, tuner(body))
    result.assert_outcomes(failed=2, skipped=5)
    result.stdout.fnmatch_lines([f"*plugin *conftest.py, hook pytest_soak_tuners, 'mine': {line}"])
    assert "Traceback" not in str(result.stdout)
    assert read_json(chain_folder(pytester) / "runtime_overrides.json") == {}
    (_, iteration, end) = records(chain_folder(pytester))
    assert iteration["decision"]["skip_reason"] == "strategy_fault"
    assert end["verdict"] == "INCONCLUSIVE"


def test_a_tuner_with_invalid_requirements_is_refused(pytester: pytest.Pytester) -> None:
    result = run(pytester, tuner(members="requires = 3"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*pytest_soak_tuners, 'mine': requires: 3; allowed: a tuple of metrics by name"]
    )


def test_a_reason_of_several_lines_is_shown_on_one(pytester: pytest.Pytester) -> None:
    result = run(pytester, tuner('Proposal({"workers": 1}, ("first\\nsecond",))'))
    result.stdout.fnmatch_lines(["| runtime_adjust | OK | * REASON=first second |"])


def test_a_tuner_cannot_write_to_the_history(pytester: pytest.Pytester) -> None:
    for body in (
        "history.latest.parameters['workers'] = 500",
        "history.latest.metrics['latency_p95_ms'] = 1",
        "history.latest.n['latency_p95_ms'] = 1",
    ):
        result = run(pytester, tuner(before=body))
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["*'mine': propose() raised TypeError: 'mappingproxy' object*"])
        assert read_json(chain_folder(pytester) / "runtime_overrides.json") == {}


def test_a_tuner_gets_a_copy_of_the_parameters(pytester: pytest.Pytester) -> None:
    down = 'Proposal({"workers": -1}, ("because",))'
    run(pytester, tuner(down, before="parameters['workers'] = 500"))
    overrides = read_json(chain_folder(pytester) / "runtime_overrides.json")
    assert overrides == {}  # 2 is the lower bound of the corridor
