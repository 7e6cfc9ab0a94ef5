"""Which items belong to a chain, which are deselected, and what cannot be a soak."""

from __future__ import annotations

import pytest

from pytest_soak.runner import collect
from tests.support import DEMO, chain_folder, read_json

TUNED = ("--soak-iterations=4", "--auto-tune")


def test_a_parametrized_test_without_a_soak_is_deselected(
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


def test_an_item_that_a_plugin_adds_during_selection_is_deselected(
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


def test_an_item_that_a_plugin_adds_after_selection_runs_outside_of_the_chain(
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


def test_a_soak_requested_while_a_test_runs_is_skipped_without_the_option(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("def test_demo(request):\n    request.getfixturevalue('soak').run()")
    result = pytester.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*a soak: run it with --soak-iterations=N*"])


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
    pytester.runpytest(*TUNED).assert_outcomes(passed=5)


def test_a_condition_of_a_mark_sees_the_names_of_the_test_module(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        SLOW = False

        @pytest.mark.skipif("SLOW", reason="slow")
        def test_demo(soak):
            soak.run()
        """
    )
    pytester.runpytest(*TUNED).assert_outcomes(passed=5)


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


def test_mock_soak_must_be_an_argument_of_the_test(pytester: pytest.Pytester) -> None:
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


@pytest.mark.parametrize("option", ["--setup-only", "--setup-plan"])
def test_options_that_only_set_up_are_refused(pytester: pytest.Pytester, option: str) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{option}: a soak cannot be set up without running it"])


def test_of_what_has_no_code_nothing_is_searched() -> None:
    assert list(collect._codes(len)) == []
