"""Marker lines: each describes what was done, and nothing else."""

from __future__ import annotations

import pytest

from tests.strategies import tuner
from tests.support import DEMO


def test_only_a_rerun_of_an_applied_iteration_is_marked_as_applied_before(
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


def test_only_a_seeded_value_that_was_cut_is_marked_as_clamped(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    seeded = '--soak-overrides={"workers": 99, "backoff_s": 0.5}'
    lines = pytester.runpytest("--soak-iterations=1", seeded).outlines
    cut = [line for line in lines if "| CLAMP |" in line]
    assert cut == ["| runtime_override | CLAMP | FIELD=workers FROM=99 TO=16 |"]
    adjusted = "| runtime_adjust | OK | FIELD=backoff_s FROM=0.2 TO=0.5 REASON=manual_override |"
    assert adjusted in lines


@pytest.mark.parametrize(("iterations", "checked"), [(2, [1]), (3, [1]), (6, [1, 2])])
def test_the_overrides_file_is_read_back_twice_at_most_and_never_in_the_window(
    pytester: pytest.Pytester, iterations: int, checked: list[int]
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    lines = pytester.runpytest(f"--soak-iterations={iterations}", "--auto-tune").outlines
    shown = [line for line in lines if "| SELF_CHECK |" in line]
    name = "runtime_overrides.json"
    assert shown == [
        f"| iter_watch | SELF_CHECK | Diff for {name} (iter {number}) |" for number in checked
    ]


def test_a_held_change_does_not_count_as_an_adjustment(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(
        "--soak-iterations=4", "--auto-tune", '--soak-overrides={"batch_size": 5}'
    )
    result.stdout.fnmatch_lines(
        [
            "| soak_iter_tune | OK | ADJUSTMENTS=2 latency=*",
            "| iter_watch | APPLY | iter=1 params=2 |",
            "  batch_size: 5 → 5 *[[]hold[]]",
        ]
    )


def test_an_overruled_tuner_is_not_marked_as_held(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(tuner('Proposal({"workers": -1}, ("because",))'))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(
        "--soak-iterations=3",
        "--auto-tune",
        "--soak-tuner=demo-table,mine",
        '--soak-overrides={"workers": 8, "backoff_s": 0.9, "batch_size": 50}',
    )
    assert "held_at_bounds" not in str(result.stdout)
