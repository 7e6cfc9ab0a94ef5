"""The command line: selection of chains and runs, error messages, start-up cost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

from pytest_soak.commands import cli
from pytest_soak.store.journal import journal_run
from tests.support import told

if TYPE_CHECKING:
    from pathlib import Path

ENDED = ("--soak-dir", "ended")


def command(*args: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_soak", *args],
        env={**os.environ, **environ},
        capture_output=True,
        check=False,
    )


def test_the_program_is_installed_under_its_name() -> None:
    (entry,) = entry_points(group="console_scripts", name="pytest-soak")
    assert entry.load() is cli.main


@pytest.mark.usefixtures("workplace")
def test_the_module_runs_as_the_program_does() -> None:
    ran = command("verify", *ENDED)
    assert ran.returncode == 0
    assert re.search(rb"0 findings, 0 notes; 8 records, 6 iterations, \d+ files", ran.stdout)


def test_help_lists_every_command() -> None:
    code, lines = told("--help")
    assert code == 0
    for name, module in cli.COMMANDS.items():
        assert any(name in line for line in lines)
        code, own = told(name, "--help")
        assert code == 0
        text = " ".join(" ".join(own).split())
        assert module.HELP in text
        assert f"Example: pytest-soak {name} {module.EXAMPLE}. Exit codes: 0 done" in text


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("repair",), "invalid choice: 'repair'"),
        (("rollback",), "the following arguments are required: --to-iter"),
        (("rollback", "--to-iter", "two"), "argument --to-iter: invalid int value: 'two'"),
        (("explain",), "the following arguments are required: --iter"),
        (("schema", "--soak-dir", "x"), "unrecognized arguments: --soak-dir x"),
        (("verify", "--rep"), "unrecognized arguments: --rep"),
        (("verify", "--head", "12ab"), "'12ab' given; allowed: 16 to 64 hex digits"),
        (("verify", "--all-runs", "--run", "2"), "ERROR: --all-runs: given with --run or --head"),
        (("verify", "--soak-dir", "nowhere"), "there are no soaks in nowhere"),
        (("verify", "--chain", "test_x", *ENDED), "unknown chain 'test_x'; there are: test_demo-"),
        (("verify", "--run", "x", *ENDED), "--run: unknown run 'x'; there are: 2"),
        (
            ("rollback", "--to-iter", "7", *ENDED),
            "7 is not in the journal; there are: 0 (the start), 1 to 6",
        ),
        (
            ("rollback", "--to-iter", "-1", *ENDED),
            "-1 is not in the journal; there are: 0 (the start)",
        ),
        (("explain", "--iter", "0", *ENDED), "--iter: 0 is not in the journal; there are: 1 to 6"),
        (
            ("rollback", "--to-iter", "1", "--dry-run", "--to-file", "x", *ENDED),
            "--dry-run, --to-file: both given; allowed: one",
        ),
    ],
)
@pytest.mark.usefixtures("workplace")
def test_a_mistake_is_one_line_and_exit_code_4(args: tuple[str, ...], says: str) -> None:
    code, lines = told(*args)
    assert code == 4
    (line,) = lines
    assert line.startswith("ERROR: ")
    assert says in line


def test_a_chain_is_named_by_its_folder_its_beginning_or_its_node_id(
    workplace: Path, ended: Path, broken: Path
) -> None:
    other = shutil.copytree(broken, ended.with_name("test_other-1")) / "journal.jsonl"
    other.write_text(other.read_text().replace("test_demo.py::test_demo", "test_x.py::test_other"))
    code, lines = told("verify", *ENDED)
    assert code == 4
    several = f"ended has several chains: {ended.name}, test_other-1"
    assert lines == [f"ERROR: --chain: needed, because {several}"]
    code, lines = told("verify", *ENDED, "--chain", "test_")
    assert code == 4
    assert lines == [f"ERROR: --chain: 'test_' matches several: {ended.name}, test_other-1"]
    for name in (ended.name, "test_d", "test_demo.py::test_demo"):
        code, lines = told("verify", *ENDED, "--chain", name)
        assert (code, lines[0].partition(",")[0]) == (0, ended.name)
    assert workplace.exists()


def test_a_mistyped_chain_gets_the_nearest_name(ended: Path) -> None:
    code, (line,) = told("verify", *ENDED, "--chain", ended.name.replace("demo", "dmeo"))
    assert code == 4
    assert f", did you mean {ended.name!r}?; there are: {ended.name}" in line


def test_an_error_lists_only_some_of_many_chains(ended: Path) -> None:
    for number in range(25):
        shutil.copytree(ended, ended.with_name(f"test_many-{number:02}"))
    code, (line,) = told("verify", *ENDED, "--chain=test_many")
    assert code == 4
    assert line.count("test_many-") == 20
    assert line.endswith("test_many-19, and 5 more")


def test_the_run_in_the_chains_folder_is_taken_unless_another_is_named(
    ended: Path, broken: Path
) -> None:
    (ended / "runs").mkdir()
    for name in ("20990101T000000Z-aaaaaa", "unknown", "empty"):
        shutil.copytree(broken, ended / "runs" / name)
    (ended / "runs" / "unknown" / "journal.jsonl").write_text("[]\n")
    shutil.rmtree(ended / "runs" / "empty")
    (ended / "runs" / "empty").mkdir()
    own, other = (journal_run(folder / "journal.jsonl") for folder in (ended, broken))
    assert told("verify", *ENDED)[1][0] == f"{ended.name}, run {own}"
    code, lines = told("verify", *ENDED, "--run", other)
    assert (code, lines[0]) == (0, f"{ended.name}, run {other}")
    code, (line,) = told("verify", *ENDED, "--run", "x")
    assert code == 4
    assert line.endswith(f"there are: {own}, {other}, unknown")


@pytest.mark.usefixtures("ended")
def test_a_terminal_without_arrows_is_written_to_in_ascii() -> None:
    rich = command("explain", "--iter", "1", *ENDED, PYTHONIOENCODING="utf-8")
    plain = command("explain", "--iter", "1", *ENDED, PYTHONIOENCODING="ascii")
    assert "workers     2 → 4" in rich.stdout.decode()
    assert "workers     2 -> 4" in plain.stdout.decode("ascii")


def test_control_characters_are_shown_as_escapes(ended: Path) -> None:
    evil = ended.with_name("test_\x1b[2J\n-1")
    ended.rename(evil)
    code, lines = told("verify", *ENDED)
    assert code == 0
    assert lines[0].startswith("test_\\x1b[2J\\n-1, run 2")


@pytest.mark.usefixtures("ended")
def test_a_reader_may_close_the_pipe() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as out:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest_soak", "explain", "--iter", "1", *ENDED],
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.usefixtures("ended")
def test_an_interruption_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.COMMANDS["verify"], "run", interrupted)
    assert told("verify", *ENDED) == (2, ["ERROR: interrupted"])


def test_an_unreadable_file_is_one_line(ended: Path) -> None:
    (ended / "journal.jsonl").unlink()
    (ended / "journal.jsonl").mkdir()
    name = ended.relative_to(ended.parent.parent) / "journal.jsonl"
    told_ = [f"ERROR: {name}: it is a folder; allowed: a regular file"]
    assert told("explain", "--iter=1", *ENDED) == (4, told_)


def test_a_start_loads_neither_pytest_nor_what_only_a_soak_needs() -> None:
    heavy = {"pytest", "rich", "jsonschema"}
    code = f"import sys, pytest_soak.commands.cli; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert ran.stdout == b"[]\n"


def test_a_run_of_pytest_loads_nothing_of_the_commands() -> None:
    code = (
        "import sys, pytest_soak.runner.session; print('pytest_soak.commands.cli' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert ran.stdout == b"False\n"


def test_a_chain_whose_journals_cannot_be_read_is_named_by_its_folder(ended: Path) -> None:
    (ended / "journal.jsonl").write_text("[]\n")
    code, (line,) = told("verify", *ENDED, "--chain", "test_demo.py::test_demo")
    assert (code, "unknown chain" in line) == (4, True)
    assert told("verify", *ENDED, "--chain", ended.name)[0] == 1
