"""Mistakes of earlier systems of this kind, and the test that would find each of them here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FOUND_BY = {
    "a mock whose metrics ignore the parameters": (
        "systems/test_mock.py::test_the_gate_fails_untuned_passes_tuned_and_fails_with_the_wrong_signs"
    ),
    "deltas reported as applied that never reached the system": (
        "engine/test_loop.py::test_every_delta_reported_as_applied_reached_the_system"
    ),
    "a seed in the environment that masks every later change": (
        "config/test_overrides_sources.py::test_a_seed_in_the_environment_masks_no_later_change"
    ),
    "increments stored as target values": (
        "engine/test_loop.py::test_overrides_hold_target_values_and_summaries_increments"
    ),
    "a clamp that turns a step around or enlarges it": (
        "guards/test_whole_runs.py::test_the_clamp_neither_turns_a_step_around_nor_enlarges_it"
    ),
    "a relax zone that the apply condition never lets through": (
        "tuners/test_seed_behaviours.py::"
        "test_a_relaxing_step_is_applied_where_a_tightening_one_would_not_be"
    ),
    "a content hash that blocks a second, identical step": (
        "engine/test_loop.py::test_the_same_step_in_two_iterations_is_applied_twice"
    ),
    "a gate that passes because a metric was missing, zero or stale": (
        "runner/test_verdict.py::test_a_metric_that_is_missing_zero_or_stale_does_not_pass"
    ),
    "a verifier loosened until it passed": (
        "engine/test_loop.py::test_a_change_is_verified_only_if_the_system_used_it_exactly"
    ),
    "an exit code of 0 with a failed gate": (
        "runner/test_verdict.py::test_a_failed_gate_is_exit_code_1_with_every_option"
    ),
    "ITER_SUMMARY_9 taken as newer than ITER_SUMMARY_12": (
        "runner/test_verdict.py::test_the_window_holds_the_last_iterations_by_number_and_not_by_name"
    ),
    "state of an earlier run that steers this one": (
        "store/test_artifacts.py::test_an_earlier_run_has_no_influence_on_a_new_one"
    ),
    "a cumulative report rewritten in every iteration": (
        "store/test_artifacts.py::test_an_iteration_writes_as_much_after_100_iterations_as_after_20"
    ),
    "a guard that never acts": (
        "guards/test_whole_runs.py::test_a_guard_acts_on_what_the_system_runs_with"
    ),
    "a resume that starts over from iteration 1": (
        "runner/test_distribution.py::test_a_worker_that_takes_over_does_not_start_again_at_iteration_1"
    ),
    "a verdict from the last two iterations of a night whose middle failed": None,
    "a tuner that leaves a good point on one noisy reading": None,
    "a misspelt setting that is silently ignored": (
        "config/test_usage_errors.py::test_nonsense_in_pyproject_is_named"
    ),
    "an absolute tolerance where parameters may be small": None,
    "a fact recovered from a sentence by a regular expression": None,
    "a secret that is masked where it is shown and plain where it is stored": (
        "runner/test_secrets.py::test_no_file_of_a_soak_of_a_program_holds_its_secret"
    ),
    "an identity narrower than the experiment": None,
    "a word whose vocabulary nobody checks": None,
}
"""``{mistake: test}``, numbered from 1; None where no test holds it yet."""


@pytest.mark.parametrize(
    "test",
    [
        pytest.param(test, id=f"{number} {mistake}")
        for number, (mistake, test) in enumerate(FOUND_BY.items(), 1)
        if test
    ],
)
def test_the_test_that_finds_an_earlier_mistake_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert re.search(rf"^def {name}\(", (TESTS / file).read_text("utf-8"), re.MULTILINE)
