"""Iterations as items, chains, the gate item: selection, order, and what ends a chain."""

from __future__ import annotations

import pytest

from tests.support import DEMO, chain_folder, patches, read_json, records

TWO = """
import pytest

@pytest.mark.parametrize("x", ["red", "blue"])
def test_demo(soak, x):
    soak.run()

def test_ordinary():
    raise AssertionError("an ordinary test does not run in a soak")
"""

WHOLE = [
    "test_two.py::test_demo[red-iter-00001]",
    "test_two.py::test_demo[red-iter-00002]",
    "test_two.py::test_demo[red-kpi-gate]",
    "test_two.py::test_demo[blue-iter-00001]",
    "test_two.py::test_demo[blue-iter-00002]",
    "test_two.py::test_demo[blue-kpi-gate]",
]


def collected(pytester: pytest.Pytester, *args: str) -> list[str]:
    result = pytester.runpytest("--collect-only", "-q", *args)
    return [line for line in result.outlines if "::" in line]


def test_a_soak_test_becomes_its_iterations_and_a_gate(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_two=TWO)
    assert collected(pytester, "--soak-iterations=2", "-p", "no:randomly") == WHOLE


def test_ids_do_not_change_with_the_count(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_two=TWO)
    longer = collected(pytester, "--soak-iterations=3", "-p", "no:randomly")
    assert set(WHOLE) < set(longer)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_order_survives_shuffling(pytester: pytest.Pytester, seed: int) -> None:
    pytester.makepyfile(test_two=TWO)
    shuffled = collected(pytester, "--soak-iterations=2", f"--randomly-seed={seed}")
    red, blue = WHOLE[:3], WHOLE[3:]
    assert shuffled in ([*red, *blue], [*blue, *red])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_shuffled_soak_runs_in_order(pytester: pytest.Pytester, seed: int) -> None:
    pytester.makepyfile(test_two=TWO)
    result = pytester.runpytest("--soak-iterations=5", "--auto-tune", f"--randomly-seed={seed}")
    result.assert_outcomes(passed=12, deselected=1)
    for name in ("test_demo-red", "test_demo-blue"):
        numbers = [
            record["iteration"]
            for record in records(chain_folder(pytester, name))
            if record["kind"] == "iteration"
        ]
        assert numbers == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "args",
    [
        ("-k", "red and iter-00001"),
        ("-k", "red and gate"),
        ("-k", "not blue"),
        ("--deselect", "test_two.py::test_demo[blue-iter-00002]"),
        ("test_two.py::test_demo", "-k", "red and iter-00002"),
    ],
)
def test_a_chain_is_selected_whole(pytester: pytest.Pytester, args: tuple[str, ...]) -> None:
    pytester.makepyfile(test_two=TWO)
    ids = collected(pytester, "--soak-iterations=2", "-p", "no:randomly", *args)
    assert ids == WHOLE[:3]


def test_the_last_failed_gate_brings_its_whole_chain(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_two=TWO)
    failed = pytester.runpytest("--soak-iterations=2", "-k", "blue", "-p", "no:randomly")
    failed.assert_outcomes(passed=2, failed=1, deselected=4)
    again = collected(pytester, "--soak-iterations=2", "--lf", "-p", "no:randomly")
    assert again == WHOLE[3:]


def test_a_node_id_of_one_iteration_is_inconclusive(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2", "test_demo.py::test_demo[iter-00002]")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["KPI gate: INCONCLUSIVE", "*partial chain*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_without_iterations_a_soak_is_skipped_and_told_how_to_run(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_demo(soak):
            raise AssertionError

        @pytest.mark.soak
        def test_marked():
            raise AssertionError

        def test_ordinary():
            pass
        """
    )
    result = pytester.runpytest("-rs")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED*--soak-iterations=N*"])


def test_no_soak_collected_is_exit_5(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_ordinary(): pass")
    result = pytester.runpytest("--soak-iterations=2")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_the_gate_does_not_run_the_body(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from pathlib import Path

        def test_demo(soak):
            soak.run()
            with Path("bodies").open("a") as file:
                file.write(f"{soak.iteration}\\n")
        """
    )
    pytester.runpytest("--soak-iterations=3")
    assert (pytester.path / "bodies").read_text().split() == ["1", "2", "3"]


def test_a_failing_iteration_ends_its_chain_and_the_gate_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_demo(soak):
            soak.run()
            assert soak.iteration != 2
        """
    )
    result = pytester.runpytest("--soak-iterations=5", "--auto-tune", "-rs")
    result.assert_outcomes(passed=1, failed=2, skipped=3)
    result.stdout.fnmatch_lines(["KPI gate: INCONCLUSIVE", "*SKIPPED*iteration 2 failed*"])


def test_a_raising_system_fails_its_iteration_and_the_gate(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        class Broken:
            def run(self, parameters, iteration, seed, state):
                raise OSError("the cable is out")

        @pytest.fixture
        def soak_system():
            return Broken()

        def test_demo(soak):
            soak.run()
        """
    )
    result = pytester.runpytest("--soak-iterations=3")
    result.assert_outcomes(failed=2, skipped=2)
    result.stdout.fnmatch_lines(["*OSError: the cable is out", "KPI gate: INCONCLUSIVE"])


def test_an_iteration_that_never_runs_the_soak_is_inconclusive(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_demo(soak):
            if soak.iteration != 3:
                soak.run()
        """
    )
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["KPI gate: INCONCLUSIVE", "*iteration 3: *never called soak.run*"])


def test_a_marked_test_without_the_fixture_is_inconclusive(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.soak
        def test_demo():
            pass
        """
    )
    result = pytester.runpytest("--soak-iterations=2")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["KPI gate: INCONCLUSIVE"])


def test_a_second_call_returns_the_same_result(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_demo(soak):
            assert soak.run() is soak.run()
        """
    )
    result = pytester.runpytest("--soak-iterations=5", "--auto-tune")
    result.assert_outcomes(passed=6)
    assert len(patches(chain_folder(pytester))) == 5


def test_a_rerun_applies_nothing_twice(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=5", "--auto-tune").assert_outcomes(passed=6)
    undisturbed = patches(chain_folder(pytester))
    pytester.makepyfile(
        test_demo="""
        seen = set()

        def test_demo(soak):
            result = soak.run()
            first = soak.iteration not in seen
            seen.add(soak.iteration)
            assert not (first and soak.iteration == 2), "flaky"
        """
    )
    result = pytester.runpytest("--soak-iterations=5", "--auto-tune", "--reruns=1")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["| iter_watch | APPLY | SKIP | iter=2 already_applied=true |", "*6 passed, 1 rerun*"]
    )
    assert patches(chain_folder(pytester)) == undisturbed
    assert undisturbed[1] != []


def test_nothing_is_applied_in_the_window_though_triggers_fire(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=3", "--auto-tune")
    first, second, third = patches(chain_folder(pytester))
    assert first != []
    assert second == third == []
    result.stdout.fnmatch_lines(["| iter_watch | APPLY | SKIP | iter=2 observation_window |"])
    summary = read_json(chain_folder(pytester) / "ITER_SUMMARY_2.json")
    assert summary["tuning"]["deltas"]
    assert summary["tuning"]["applied"] is False
    assert summary["tuning"]["skip_reason"] == "observation_window"


def test_a_single_iteration_is_all_window(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=1", "--auto-tune")
    result.assert_outcomes(passed=1, failed=1)
    assert patches(chain_folder(pytester)) == [[]]


def test_a_user_skip_leaves_the_verdict_inconclusive(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_demo(soak):
            if soak.iteration == 6:
                pytest.skip("not today")
            soak.run()
        """
    )
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    result.assert_outcomes(passed=5, skipped=1, failed=1)
    result.stdout.fnmatch_lines(["KPI gate: INCONCLUSIVE"])


def test_methods_of_classes_are_chains_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        class TestDemo:
            def test_one(self, soak):
                soak.run()

            def test_two(self, mock_soak):
                mock_soak.run()
        """
    )
    result = pytester.runpytest("--soak-iterations=5", "--auto-tune")
    result.assert_outcomes(passed=12)


def test_the_mock_is_the_mock_whatever_system_the_test_brings(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def soak_system():
            return "no system at all"

        def test_demo(mock_soak):
            mock_soak.run()
        """
    )
    pytester.runpytest("--soak-iterations=6", "--auto-tune").assert_outcomes(passed=7)


def test_a_failed_iteration_is_not_told_as_one_that_did_not_run(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        def test_demo(soak):
            soak.run()
            assert soak.iteration != 6
        """
    )
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    result.stdout.fnmatch_lines(["KPI gate: INCONCLUSIVE", "  iteration 6: its test did not pass"])


def test_left_out_iterations_before_an_idle_one_keep_their_numbers(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_demo(soak):
            if soak.iteration == 1:
                pytest.skip("not yet")
            if soak.iteration > 2:
                soak.run()
        """
    )
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    result.stdout.fnmatch_lines(
        ["*iteration 1: did not run", "*iteration 2: its test never called soak.run()"]
    )
    found = [r["iteration"] for r in records(chain_folder(pytester)) if r["kind"] == "iteration"]
    assert found == [1, 2, 3, 4, 5, 6]
