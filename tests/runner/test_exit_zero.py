"""Exit code 0 is given only where every collected chain has PASS or WARN in its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_soak.engine.loop import SoakLoop
from pytest_soak.runner.exit_code import recorded_verdict
from tests.fuzz.chains import asked, core, planned
from tests.support import DEMO, chain_folder, records, told

if TYPE_CHECKING:
    from pathlib import Path

CALM = ("--soak-iterations=3", "--soak-scenario=calm", "-p", "no:randomly")
"""A soak that passes."""
BUSY = ("--soak-iterations=3", "-p", "no:randomly")
"""A soak whose verdict is FAIL."""
MISSING = "ERROR: no verdict was recorded for test_demo.py::test_demo; exit code 1"
FAILED = "ERROR: the verdict of test_demo.py::test_demo is FAIL; exit code 1"
UNCOLLECTED = "ERROR: the run ended before all tests were collected; exit code 1"

IMPORTS = "import os, sys, pytest\n"

NOT_RUN = {
    "the loop of tests is taken over": """
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtestloop(session):
            return True
    """,
    "the loop of tests is taken over, and the items are removed": """
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtestloop(session):
            session.items.clear()
            return True
    """,
    "the protocol of tests is taken over": """
        def pytest_runtest_protocol(item):
            return True
    """,
    "the protocol of the gate is taken over": """
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item):
            return True if item.name.endswith("kpi-gate]") else None
    """,
    "items are removed in silence": """
        def pytest_collection_modifyitems(items):
            items.clear()
    """,
    "items are removed in silence, after all others have looked": """
        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_collection_modifyitems(items):
            yield
            items.clear()
    """,
    "items are removed once collection is over": """
        @pytest.hookimpl(trylast=True)
        def pytest_collection_finish(session):
            session.items.clear()
    """,
    "the gate is deselected, after all others have looked": """
        def pytest_sessionstart(session):
            session.config.pluginmanager.register(Late())

        class Late:
            @pytest.hookimpl(wrapper=True, tryfirst=True)
            def pytest_collection_modifyitems(self, config, items):
                yield
                gate = items.pop()
                config.hook.pytest_deselected(items=[gate])
    """,
    "the run is ended before a test": """
        def pytest_runtest_setup(item):
            pytest.exit("enough", returncode=0)
    """,
    "the run is ended before the loop of tests": """
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtestloop():
            pytest.exit("enough", returncode=0)
    """,
    "the run is ended after an iteration": """
        def pytest_runtest_teardown(item):
            pytest.exit("enough", returncode=0)
    """,
    "the run is ended by what reports are logged with": """
        def pytest_runtest_logreport(report):
            pytest.exit("enough", returncode=0)
    """,
    "the gate's setup is made a skip": """
        def pytest_runtest_setup(item):
            pytest.skip("by day")

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            if report.failed:
                report.outcome, report.longrepr = "skipped", (str(item.path), 1, "never mind")
            return report
    """,
    "the exit code is set as a last act": """
        def pytest_runtest_protocol(item):
            return True

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_unconfigure(config):
            yield
            config.stash[KEY].exitstatus = 0

        KEY = pytest.StashKey()

        def pytest_sessionstart(session):
            session.config.stash[KEY] = session
    """,
    "the process is ended when the session is": """
        def pytest_runtest_protocol(item):
            return True

        def pytest_sessionfinish():
            sys.exit(0)
    """,
    "the run is ended when the session is": """
        def pytest_runtest_protocol(item):
            return True

        def pytest_sessionfinish():
            pytest.exit("enough", returncode=0)
    """,
}

FAILS = {
    "failures are made skips": """
        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            if report.failed:
                report.outcome, report.longrepr = "skipped", (str(item.path), 1, "never mind")
            return report
    """,
    "failures are made passes by who reports first": """
        @pytest.hookimpl(wrapper=True, trylast=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.outcome, report.longrepr = "passed", None
            return report
    """,
    "the gate's call is swallowed": """
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_call(item):
            try:
                return (yield)
            except Exception:
                return None
    """,
    "the gate is expected to fail": """
        def pytest_itemcollected(item):
            item.add_marker(pytest.mark.xfail)
    """,
    "failures are not counted": """
        @pytest.hookimpl(trylast=True)
        def pytest_runtest_logreport(report):
            SESSIONS[0].testsfailed = 0

        SESSIONS = []

        def pytest_sessionstart(session):
            SESSIONS.append(session)

        def pytest_sessionfinish(session):
            session.exitstatus = 0
    """,
    "the exit code is set when the session ends": """
        @pytest.hookimpl(trylast=True)
        def pytest_sessionfinish(session):
            session.exitstatus = 0
    """,
    "the exit code is set by who runs the session": """
        @pytest.hookimpl(wrapper=True)
        def pytest_cmdline_main():
            yield
            return 0
    """,
    "the run is ended by an observer of the verdict": """
        def pytest_soak_verdict():
            pytest.exit("enough", returncode=0)
    """,
}


def unindented(text: str) -> str:
    """Return *text* without the eight spaces before each of its lines."""
    return IMPORTS + "\n".join(line.removeprefix("        ") for line in text.splitlines())


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run pytest in a process of its own: some of the conftests here would end this one."""
    return pytester.runpytest_subprocess(*args, timeout=120)


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "n1"])
@pytest.mark.parametrize("way", NOT_RUN)
def test_a_chain_without_a_verdict_is_exit_1(
    pytester: pytest.Pytester, way: str, workers: tuple[str, ...]
) -> None:
    pytester.makeconftest(unindented(NOT_RUN[way]))
    pytester.makepyfile(test_demo=DEMO)
    result = run(pytester, *CALM, *workers)
    assert result.ret != pytest.ExitCode.OK
    if result.ret == pytest.ExitCode.TESTS_FAILED:
        told = {MISSING, UNCOLLECTED} & set(result.stdout.lines)
        assert len(told) == 1
    else:  # as xdist ends a run whose hooks raise in the controller
        assert workers
        assert result.ret in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED)


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "n1"])
@pytest.mark.parametrize("way", FAILS)
def test_a_recorded_fail_is_exit_1(
    pytester: pytest.Pytester, way: str, workers: tuple[str, ...]
) -> None:
    pytester.makeconftest(unindented(FAILS[way]))
    pytester.makepyfile(test_demo=DEMO)
    result = run(pytester, *BUSY, *workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert [entry["kind"] for entry in records(chain_folder(pytester))][-1] == "run_ended"
    assert FAILED in result.stdout.lines or "KPI gate: FAIL" in result.stdout.lines


ENDED_EARLY = {
    "when pytest is configured": "def pytest_configure(): pytest.exit('enough', returncode=0)",
    "when the session starts": "def pytest_sessionstart(): pytest.exit('enough', returncode=0)",
    "when tests are collected": "def pytest_collection(): pytest.exit('enough', returncode=0)",
    "when items are sorted": (
        "def pytest_collection_modifyitems(): pytest.exit('enough', returncode=0)"
    ),
}


@pytest.mark.parametrize("when", ENDED_EARLY)
def test_a_run_that_ends_before_its_tests_are_known_is_exit_1(
    pytester: pytest.Pytester, when: str
) -> None:
    pytester.makeconftest(IMPORTS + ENDED_EARLY[when])
    pytester.makepyfile(test_demo=DEMO)
    result = run(pytester, *CALM, "-p", "no:terminal")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert len({MISSING, UNCOLLECTED} & set(result.stderr.lines)) == 1
    pytester.path.joinpath("conftest.py").unlink()
    assert run(pytester, *CALM).ret == pytest.ExitCode.OK


def test_an_iteration_whose_failure_is_made_a_pass_has_not_passed(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(unindented(FAILS["failures are made passes by who reports first"]))
    pytester.makepyfile(test_demo="def test_demo(soak):\n    assert soak.run().iteration < 3")
    result = pytester.runpytest(*CALM)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    verdict = records(chain_folder(pytester))[-1]
    assert verdict["verdict"] == "INCONCLUSIVE"
    assert verdict["not_passed"] == [3]


def test_a_fixture_that_ends_the_run_leaves_two_chains_without_verdicts(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        test_demo="""
        import pytest

        @pytest.fixture
        def db():
            pytest.exit("database is down", returncode=0)

        def test_first(soak, db):
            soak.run()

        def test_second(soak):
            soak.run()
        """
    )
    for workers in ((), ("-n1",), ("-n2",)):
        result = pytester.runpytest(*CALM, *workers)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            ["ERROR: no verdict was recorded for test_demo.py::test_first; exit code 1"]
        )
        second = "ERROR: no verdict was recorded for test_demo.py::test_second; exit code 1"
        assert (second in result.stdout.lines) == (workers != ("-n2",))  # it ran on its own worker


SKIPPED = """
import pytest

@pytest.mark.soak(skippable={skippable})
@pytest.mark.skipif("{condition}", reason="no staging")
def test_demo(soak):
    soak.run()

def test_other(soak):
    soak.run()
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "n2"])
def test_a_chain_may_be_skipped_by_a_mark_where_it_says_so(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_demo=SKIPPED.format(skippable=True, condition=True))
    result = pytester.runpytest(*CALM, *workers)
    result.assert_outcomes(passed=4, skipped=4)
    assert result.ret == pytest.ExitCode.OK
    assert not list(pytester.path.glob("artifacts/soak/test_demo-*"))  # it leaves nothing behind
    pytester.makepyfile(test_demo=SKIPPED.format(skippable=False, condition=True))
    result = pytester.runpytest(*CALM, *workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["ERROR: no verdict was *test_demo: it was skipped; allowed with *(skippable=True); exit *"]
    )


def test_a_chain_that_may_be_skipped_and_is_not_needs_a_verdict(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(unindented(NOT_RUN["the protocol of tests is taken over"]))
    pytester.makepyfile(test_demo=SKIPPED.format(skippable=True, condition=False))
    assert pytester.runpytest(*CALM).ret == pytest.ExitCode.TESTS_FAILED


def test_skippable_is_true_or_false(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=SKIPPED.format(skippable="'yes'", condition=False))
    result = pytester.runpytest(*CALM)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*soak(skippable=): 'yes' given; allowed: True or False"])


@pytest.mark.parametrize(
    "args", [("--collect-only",), ("--fixtures",), ("--markers",), ("--help",), ("--cache-show",)]
)
def test_a_run_that_only_looks_needs_no_verdict(
    pytester: pytest.Pytester, args: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    assert pytester.runpytest(*CALM, *args).ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("-k", "other"), pytest.ExitCode.OK),
        (("-m", "chosen"), pytest.ExitCode.OK),
        (("--deselect=test_demo.py::test_demo",), pytest.ExitCode.OK),
        (("-k", "none"), pytest.ExitCode.NO_TESTS_COLLECTED),
        (("--ignore=test_demo.py",), pytest.ExitCode.NO_TESTS_COLLECTED),
    ],
)
def test_what_the_user_deselects_needs_no_verdict(
    pytester: pytest.Pytester, args: tuple[str, ...], code: pytest.ExitCode
) -> None:
    pytester.makeini("[pytest]\nmarkers = chosen")
    pytester.makepyfile(
        test_demo="""
        import pytest

        def test_demo(soak):
            soak.run()

        @pytest.mark.chosen
        def test_other(soak):
            soak.run()
        """
    )
    for workers in ((), ("-n1",)):
        assert pytester.runpytest(*CALM, *args, *workers).ret == code


def test_a_module_that_is_skipped_whole_has_no_chain(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_absent=f"import pytest\npytest.skip('never', allow_module_level=True)\n{DEMO}"
    )
    assert pytester.runpytest(*CALM).ret == pytest.ExitCode.NO_TESTS_COLLECTED
    pytester.makepyfile(test_demo=DEMO)
    assert pytester.runpytest(*CALM).ret == pytest.ExitCode.OK


def test_a_chain_that_was_not_run_after_a_failure_is_named(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_demo="def test_a(soak):\n    assert 0\n\ndef test_b(soak):\n    soak.run()"
    )
    result = pytester.runpytest(*CALM, "-x")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [f"ERROR: no verdict was recorded for test_demo.py::test_{n}; exit code 1" for n in "ab"]
    )
    assert pytester.runpytest(*CALM, "-x", "-n1").ret == pytest.ExitCode.INTERRUPTED


@pytest.mark.parametrize("part", ["session", "collection", "secrecy", "core", "distribution"])
def test_no_part_of_the_plugin_can_be_switched_off(pytester: pytest.Pytester, part: str) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*CALM, "-p", f"no:soak-{part}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: -p no:soak-{part}: a soak cannot run without it"])


NEVER = {
    "in its body": 'def test_never(request):\n    request.getfixturevalue("soak").run()',
    "in a function of its body": (
        "def test_never(request):\n"
        '    def get(): return request.getfixturevalue("mock_soak")\n'
        "    get().run()"
    ),
    "in its fixture": (
        "@pytest.fixture\n"
        'def late(request): return request.getfixturevalue("soak")\n'
        "def test_never(late):\n    late.run()"
    ),
    "by another fixture": (
        "@pytest.fixture\n"
        "def api(soak): return soak\n"
        'def test_never(request):\n    request.getfixturevalue("api").run()'
    ),
    "by a parameter": (
        '@pytest.mark.parametrize("name", ["tmp_path", "soak"])\n'
        "def test_never(request, name):\n    request.getfixturevalue(name).run()"
    ),
    "in a method": (
        "class TestIt:\n"
        '    def test_never(self, request):\n        request.getfixturevalue("soak").run()'
    ),
}


@pytest.mark.parametrize("where", NEVER)
def test_a_soak_fetched_by_name_is_a_usage_error(pytester: pytest.Pytester, where: str) -> None:
    pytester.makepyfile(test_never=f"import pytest\n{NEVER[where]}\n", test_demo=DEMO)
    for workers in ((), ("-n1",)):
        result = pytester.runpytest(*CALM, *workers)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        told = "*test_never*: asks for the fixture soak by request.getfixturevalue()*"
        (result.stdout if workers else result.stderr).fnmatch_lines([told])


def test_other_fixtures_may_be_fetched_by_name(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_plain='def test_plain(request):\n    request.getfixturevalue("tmp_path")',
        test_demo=DEMO,
    )
    pytester.runpytest(*CALM).assert_outcomes(passed=4, deselected=1)


def test_a_method_of_unittest_that_requests_a_soak_is_a_usage_error(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        test_demo="""
        import unittest
        import pytest

        class TestU(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _s(self, soak):
                self.soak = soak

            def test_u(self):
                self.soak.run()
        """
    )
    result = pytester.runpytest(*CALM)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*::TestU::test_u: requests the fixture soak, but cannot be parametrized*"]
    )


def test_a_process_that_ends_itself_with_an_error_keeps_its_exit_code(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest("import sys\ndef pytest_sessionfinish(): sys.exit(77)")
    pytester.makepyfile(test_demo=DEMO)
    assert run(pytester, *CALM).ret == 77


def test_the_verdict_of_a_damaged_journal_is_none_that_passes(tmp_path: Path) -> None:
    loop = SoakLoop(planned(asked(tmp_path)), core(), tmp_path)
    loop.run(1)
    loop.finish(loop.verdict())
    loop.close()
    folder, run = loop.store.folder, loop.plan.run_id
    told("rollback", "--to-iter=0", "--soak-dir", tmp_path)
    assert recorded_verdict(folder, run) in {"PASS", "INCONCLUSIVE", "FAIL"}
    first, *_, last = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(first + b"{}\n" + last)
    assert recorded_verdict(folder, run) == ""
