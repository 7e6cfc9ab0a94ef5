"""The source of strategies that the conftest.py of a soak inside a test offers.

A test gives the lines in which its strategy is special; imports, class and hook are the same
for all.
"""

from __future__ import annotations

from textwrap import dedent, indent

IMPORTS = """\
import json
import os
import time
from pathlib import Path

import pytest

from pytest_soak import Proposal, SystemFailure
from pytest_soak.systems.mock import MockSystem

HERE = Path(__file__).parent
"""


def _lines(text: str, depth: int) -> str:
    return indent(dedent(text).strip("\n"), " " * 4 * depth)


def mock_system(
    name: str = "odd",
    *,
    before: str = "",
    after: str = "",
    returns: str = "report, None",
    members: str = "",
) -> str:
    """Return a conftest.py that offers a mock as the system *name*.

    Args:
        name: the name for ``--soak-system``; the class is called the same, capitalized.
        before: lines of ``run()`` before the mock runs.
        after: lines of ``run()`` after it; ``report`` is the mock's.
        returns: what ``run()`` returns.
        members: lines of the class.
    """
    return f"""{IMPORTS}
class {name.capitalize()}(MockSystem):
{_lines(members or "pass", 1)}

    def run(self, parameters, iteration, seed, state):
{_lines(before or "pass", 2)}
        report, _ = super().run(parameters, iteration, seed, None)
{_lines(after or "pass", 2)}
        return {returns}

def pytest_soak_systems():
    return {{"{name}": {name.capitalize()}}}
"""


def tuner(
    returns: str = 'Proposal({"workers": 2}, ("because",))',
    *,
    name: str = "mine",
    before: str = "",
    members: str = "requires = ()",
) -> str:
    """Return a conftest.py that offers the tuner *name*.

    Args:
        returns: what ``propose()`` returns.
        name: the name for ``--soak-tuner``; the class is called the same, capitalized.
        before: lines of ``propose()`` before it returns.
        members: lines of the class.
    """
    return f"""{IMPORTS}
class {name.capitalize()}:
{_lines(members, 1)}

    def propose(self, history, parameters):
{_lines(before or "pass", 2)}
        return {returns}

def pytest_soak_tuners():
    return {{"{name}": lambda pack: {name.capitalize()}()}}
"""


SLOW = mock_system(
    "slow",
    before="""
        if iteration == 3:
            Path(f"reached-{os.getpid()}").touch()
            time.sleep(60)
    """,
)
"""A system that waits in iteration 3 until it is interrupted."""
