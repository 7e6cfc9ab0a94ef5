"""What several tests need: running a soak in a fresh folder, and reading what it left."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import stat
import time
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

from pytest_soak.commands.cli import main
from pytest_soak.store.artifacts import rebuild
from pytest_soak.store.files import document, line
from pytest_soak.store.folder import JOURNAL
from pytest_soak.store.journal import START, read_journal
from pytest_soak.store.records import problems_from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import pytest

DEMO = """
def test_demo(soak):
    soak.run()
"""
PATIENCE = 60
"""Seconds in which a busy machine must have done what a test waits for."""
DIFFERS = {"time", "ts", "run", "prev", "head"}
"""What differs from run to run: times, run ids, hashes over both."""


def chain_folder(pytester: pytest.Pytester, name: str = "test_demo") -> Path:
    """Return the folder of the chain whose slug begins with *name*."""
    return chain_folder_in(pytester.path / "artifacts" / "soak", name)


def chain_folder_in(soak_dir: Path, name: str) -> Path:
    """Return the folder of the chain in *soak_dir* whose slug begins with *name*."""
    (folder,) = soak_dir.glob(f"{name}-*")
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in *path*."""
    data = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def records(folder: Path) -> list[dict[str, Any]]:
    """Return the records of the journal in *folder*."""
    lines = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def problems(told: dict[str, Any]) -> list[str]:
    """Return the problems that a summary or a verdict has, as sentences."""
    return [problem.located for problem in problems_from_json(told["problems"])]


def patches(folder: Path) -> list[list[dict[str, Any]]]:
    """Return the patch of each iteration, without the tests of old values."""
    return [
        [operation for operation in record["patch"] if operation["op"] != "test"]
        for record in records(folder)
        if record["kind"] == "iteration"
    ]


def timeless(value: Any) -> Any:
    """Return *value* without what differs from run to run."""
    if isinstance(value, dict):
        return {key: timeless(entry) for key, entry in value.items() if key not in DIFFERS}
    if isinstance(value, list):
        return [timeless(entry) for entry in value]
    return value


def artifacts(folder: Path) -> dict[str, Any]:
    """Return every artifact of the newest run in *folder*, without what differs from run to run."""
    found: dict[str, Any] = {
        str(path.relative_to(folder)): timeless(json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(folder.rglob("*.json"))
        if "runs" not in path.relative_to(folder).parts
    }
    found["journal.jsonl"] = timeless(records(folder))
    return found


def unlike_journal(folder: Path) -> list[str]:
    """Return the artifacts in *folder* that are missing or not what its journal says."""
    said = {name: document(content) for name, content in rebuild(read_journal(folder / JOURNAL))}
    there = {name: (folder / name).read_text() for name in said if (folder / name).exists()}
    return [name for name, text in said.items() if there.get(name) != text]


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file below *folder* with its time and content."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if stat.S_ISREG(path.lstat().st_mode)
    }


def told(*args: object) -> tuple[int, list[str]]:
    """Return the exit code of ``pytest-soak`` with *args*, and the lines that it told."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        try:
            code = main([str(arg) for arg in args])
        except SystemExit as ended:
            code = int(str(ended.code))
    return code, out.getvalue().splitlines()


def linked(records: Iterable[dict[str, Any]]) -> bytes:
    """Return *records* as a journal whose hashes fit, whatever they say."""
    lines: list[bytes] = []
    for record in records:
        prev = hashlib.sha256(lines[-1]).hexdigest() if lines else START
        lines.append(line({**record, "prev": prev}).encode())
    return b"".join(text + b"\n" for text in lines)


def wait_for(met: Callable[[], Any]) -> None:
    """Wait until *met* returns a true value."""
    end = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def plant_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        folder = os.open(path.parent, os.O_RDONLY)  # a socket's path may have 107 letters only
        try:
            bound.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)


def victim(path: Path) -> Path:
    """Return a file that must not change, for a link at *path*."""
    file = path.with_name("victim")
    file.write_text("precious")
    return file


ODD: dict[str, Callable[[Path], object]] = {
    "a link": lambda path: path.symlink_to(victim(path)),
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a socket": plant_socket,
}
"""What may lie in the place of a file: ``{its name in messages: how to put it there}``."""
