"""Parses the pages of the documentation into blocks and commands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its kind, its title if it is a file, and its text."""

    kind: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """One line after a ``$`` in a console block, with what is shown below it."""

    line: str
    shown: tuple[str, ...]


def blocks(page: Path) -> Iterator[Block]:
    for info, text in FENCE.findall(page.read_text(encoding="utf-8")):
        kind, _, rest = info.partition(" ")
        title = re.fullmatch(r'(?:title="([^"]+)")?', rest)
        assert title, f"{page.name}: unknown words after ```{kind}: {rest}"
        yield Block(kind, title[1] or "", text)


def commands(text: str) -> list[Command]:
    found: list[Command] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], ()))
        else:
            assert found, f"a console block must begin with a command: {text}"
            last = found.pop()
            found.append(Command(last.line, (*last.shown, line)))
    return found


def pattern(shown: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern that the output must match.

    Lines follow each other as they are shown; ``...`` stands for any lines, or any part of one.
    """
    parts = []
    for line in shown:
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        elif line.strip():
            parts.append(re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + r"\n")
    return re.compile(r"^" + "".join(parts), re.MULTILINE)


def assert_shows(output: str, shown: tuple[str, ...], line: str) -> None:
    text = "".join(f"{row.rstrip()}\n" for row in output.splitlines() if row.strip())
    wanted = "\n".join(shown)
    assert pattern(shown).search(text), f"$ {line}\nshould show\n{wanted}\nbut showed\n{text}"


def is_the_main_job(block: Block) -> bool:
    """Return whether *block* is the README's main job, which runs in the repository."""
    return in_the_repository(block) and not is_the_example(block)


def is_the_example(block: Block) -> bool:
    """Return whether *block* is the README's web service, which other tests run."""
    return in_the_repository(block) and " examples/" in block.text


def in_the_repository(block: Block) -> bool:
    return block.kind == "console" and block.text.startswith(".venv/bin/", 2)


def follow_in_the_repository(block: Block, folder: Path) -> None:
    """Run the command of *block* as a user does, but with artifacts in *folder*."""
    command, code = commands(block.text)
    words = shlex.split(command.line)
    assert words[0] == ".venv/bin/pytest"
    assert code.line == "echo $?"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *words[1:], f"--soak-dir={folder}"],
        cwd=ROOT,
        env={"PATH": "", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ran.returncode == int(code.shown[0]), ran.stdout + ran.stderr
    assert_shows(ran.stdout, command.shown, command.line)
