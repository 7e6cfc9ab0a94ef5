"""Links, pipes and hard links that lie where a soak writes are replaced, and lead nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_soak.store.artifacts import TABLE
from tests.programs import ARGS, prepare
from tests.support import chain_folder, unlike_journal

if TYPE_CHECKING:
    from pathlib import Path

PLANT = {
    "a link": "path.symlink_to(victim)",
    "a hard link": "path.hardlink_to(victim)",
    "a pipe": "os.mkfifo(path)",
}
PLANTS = """
import os
from pathlib import Path

import pytest

NAMES = {names}
victim = Path("victim")

def test_demo(soak):
    if soak.iteration == 2:
        (folder,) = Path("artifacts/soak").glob("test_demo-*")
        for name in NAMES:
            path = folder / name
            path.unlink(missing_ok=True)
            {plant}
    soak.run()
"""


def planted() -> list[str]:
    """Return the places of every file that is written from iteration 2 on, and of their drafts."""
    names = [one.name.format(n) for one in TABLE for n in (2, 3, 4, 5)]
    names = [name for name in dict.fromkeys(names) if name not in ("journal.jsonl", OVERRIDES)]
    return [*names, *(f"{name}.tmp" for name in (*names, OVERRIDES))]


OVERRIDES = "runtime_overrides.json"  # the system would have read what is planted there


@pytest.mark.parametrize("kind", PLANT)
def test_a_soak_ends_as_if_nothing_had_been_planted(pytester: pytest.Pytester, kind: str) -> None:
    victim: Path = pytester.path / "victim"
    victim.write_text("precious")
    pytester.makepyfile(test_demo=PLANTS.format(names=planted(), plant=PLANT[kind]))
    assert pytester.runpytest("--soak-iterations=6", "--auto-tune").ret == 0
    assert victim.read_text() == "precious"
    assert unlike_journal(chain_folder(pytester)) == []


@pytest.mark.parametrize(
    ("kind", "plant"),
    {"a link": "symlink_to(Path('victim').absolute())", "a file": "touch()"}.items(),
)
def test_a_program_gets_no_folder_for_its_logs_where_something_else_is(
    pytester: pytest.Pytester, kind: str, plant: str
) -> None:
    victim = pytester.mkdir("victim")
    prepare(pytester, "Path(E['PYTEST_SOAK_LOGS'], 'own.log').touch(); answer()")
    pytester.makepyfile(
        test_demo=f"""
        from pathlib import Path

        def test_demo(soak):
            (folder,) = Path("artifacts/soak").glob("test_demo-*")
            (folder / "logs").{plant}
            soak.run()
        """
    )
    ran = pytester.runpytest(*ARGS)
    ran.assert_outcomes(failed=2, skipped=2)
    line = f"*system command: */logs: cannot be written: it is {kind}; allowed: a folder"
    ran.stdout.fnmatch_lines([line])
    ran.stdout.no_fnmatch_line("*pytest_soak*.py:*")
    assert list(victim.iterdir()) == []
