"""Guards in a user's conftest: they may take away from a decision, and not add to it."""

from __future__ import annotations

import pytest

from tests.support import DEMO, chain_folder, read_json

GUARD = """
from dataclasses import replace

class Mine:
    def review(self, history, decision, settings):
        {body}

def pytest_soak_guards():
    return {{"mine": lambda pack: Mine()}}
"""


def test_a_custom_guard_may_veto_a_change(pytester: pytest.Pytester) -> None:
    body = "return decision.veto('mine', 'workers', 'no_more_workers', 'budget=0')"
    pytester.makeconftest(GUARD.format(body=body))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=3", "--auto-tune")
    result.stdout.fnmatch_lines(
        ["| soak_guard | NO_MORE_WORKERS | iter=1 FIELD=workers budget=0 |"]
    )
    overrides = read_json(chain_folder(pytester) / "runtime_overrides.json")
    assert overrides == {"backoff_s": 0.3, "batch_size": 35}
    report = read_json(chain_folder(pytester) / "TUNING_REPORT.json")
    assert report["skip_reasons"]["no_more_workers"] == 3


CHEATS = {
    "return replace(decision, changes=tuple(replace(c, effective=1, new=9) "
    "for c in decision.changes))": "made the delta of backoff_s 1 out of 0.1",
    "return replace(decision, changes=(*decision.changes, "
    "replace(decision.changes[0], parameter='other')))": "added a change of other",
    "return replace(decision, changes=tuple(replace(c, requested=99) "
    "for c in decision.changes))": "rewrote requested of the change of backoff_s",
    "pass": "returned None, not a Decision",
}
"""``{body of review(): what the error says}``"""


@pytest.mark.parametrize("body", CHEATS, ids=["enlarges", "adds", "rewrites", "forgets"])
def test_a_guard_that_adds_or_enlarges_changes_is_refused(
    pytester: pytest.Pytester, body: str
) -> None:
    pytester.makeconftest(GUARD.format(body=body))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=3", "--auto-tune")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*hook pytest_soak_guards, 'mine': review() {CHEATS[body]}"])
    assert read_json(chain_folder(pytester) / "runtime_overrides.json") == {}
