"""What tests of the system `command` need: programs, and whether anything of them is left."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.support import DEMO

if TYPE_CHECKING:
    import pytest

PRELUDE = """
import json, os, signal, subprocess, sys, time
from pathlib import Path

E = os.environ

def parameters():
    used = json.loads(Path(E["PYTEST_SOAK_PARAMETERS"]).read_text())
    overrides = json.loads(Path(E["PYTEST_SOAK_OVERRIDES"]).read_text())
    assert overrides.items() <= used.items()
    return used

def content(iteration, **more):
    used = parameters()
    totals = {"latency_p95_ms": 100 + 400 / used["workers"], "error_rate": 0.01, "throughput": 100}
    return {"iteration": int(iteration), "parameters": used, "totals": totals, **more}

def leave(path, report):
    draft = Path(f"{path}.tmp")
    draft.write_text(json.dumps(report))
    draft.rename(path)

"""
ONCE = (
    PRELUDE
    + """
iteration, report = E["PYTEST_SOAK_ITERATION"], Path(E["PYTEST_SOAK_REPORT"])

def answer(**more):
    leave(report, content(iteration, **more))

"""
)
LONG = (
    PRELUDE
    + """
for line in sys.stdin:
    iteration, slot, seed, report = line.rstrip("\\n").split(" ", 3)
    report = Path(report)

    def answer(**more):
        leave(report, content(iteration, **more))

"""
)
ARGS = ("-p", "no:randomly", "--soak-system=command", "--soak-iterations=3")


def toml(value: object) -> str:
    """Return *value* as TOML says it: JSON will do for what is used here."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def prepare(
    pytester: pytest.Pytester, body: str, *, long: bool = False, more: str = "", **settings: object
) -> None:
    """Write a soak of a program whose *body* runs in each iteration; a *long* one serves all."""
    lines = "".join(f"{name} = {toml(value)}\n" for name, value in settings.items())
    life = "chain" if long else "iteration"
    pytester.makepyprojecttoml(
        "[tool.pytest-soak.packs.demo.command]\n"
        'program = ["{python}", "-I", "-S", "program.py"]\n'
        f'life = "{life}"\ngrace_s = 0.5\n{lines}{more}'
    )
    indent = "    " if long else ""
    inside = "".join(f"{indent}{line}\n" for line in body.strip().splitlines())
    (pytester.path / "program.py").write_text((LONG if long else ONCE) + inside)
    pytester.makepyfile(test_demo=DEMO)


def left_in(folder: Path) -> list[str]:
    """Return the living processes that work in *folder*, but for this one."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.cwd() == str(folder):
                found.append(" ".join(process.cmdline()) or process.name())
    return found


def files_left() -> list[str]:
    """Return what the runs of this test left among temporary files."""
    return [path.name for path in Path(tempfile.gettempdir()).glob("pytest-soak-*")]
