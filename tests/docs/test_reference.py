"""The reference tables in the pages match the code that they are generated from."""

from __future__ import annotations

import runpy
from pathlib import Path

from pytest_soak.config.builtin import GUARDS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_tables_of_guards_are_as_the_guards_describe_themselves() -> None:
    """To fix a failure, run ``python docs/make_reference.py``."""
    page = (DOCS / "guards.md").read_text(encoding="utf-8")
    script = runpy.run_path(str(DOCS / "make_reference.py"))
    assert script["rewrite"](page) == page
    assert script["rewrite"](page.replace("| 0 to 50 iterations |", "| any |")) == page


def test_every_guard_says_what_it_does_and_what_each_setting_is() -> None:
    shown = runpy.run_path(str(DOCS / "make_reference.py"))["reference"]()
    for guard in GUARDS:
        assert f"| `{guard.name}` | {(guard.__doc__ or '').split()[0]} " in shown
    assert (
        "| `cooldown.iterations` | how long nothing is changed | 0 to 50 iterations | `0` |"
        in shown
    )
    assert (
        "| `budget.largest` | the largest sum for each parameter | for each parameter a " in shown
    )
    assert "||" not in shown.replace(" ", "")
