"""Every example of the README and of docs/ is run, and every name they list is checked.

Each page is a folder. Its fenced blocks are taken in order: one with a title is written as a
file, a console block is run there and compared. A kind of block that no rule covers is an error.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from pytest_soak import hookspecs
from pytest_soak.commands import cli
from pytest_soak.config import options
from pytest_soak.schemas import schema_of
from pytest_soak.store import artifacts
from pytest_soak.store.folder import JOURNAL, RUNS
from pytest_soak.store.journal import read_journal
from tests.docs.pages import (
    FENCE,
    PAGES,
    ROOT,
    Block,
    Command,
    assert_shows,
    blocks,
    commands,
    follow_in_the_repository,
    in_the_repository,
    is_the_main_job,
)
from tests.support import told

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WRITTEN = {"python", "toml", "ini", "json", "sh"}
INSTALL = (
    "python3 -m venv .venv && "
    ".venv/bin/pip install -q -e '.[test]' -e plugins/pytest-soak-market && "
)
KINDS = ("run_started", "run_resumed", "run_ended", "rolled_back", "damage_found")
SHELL_LINES = {
    "pytest-soak schema >pack.schema.json",
    f"{INSTALL}.venv/bin/pytest --soak-iterations=6 --auto-tune",
    f"{INSTALL}.venv/bin/pytest -n 3",
    (
        ".venv/bin/pip install -q -e '.[dev]' && .venv/bin/ruff format --check . && "
        ".venv/bin/ruff check . && .venv/bin/mypy"
    ),
    (
        ".venv/bin/coverage run -m pytest -n 2 tests plugins && "
        ".venv/bin/coverage combine && .venv/bin/coverage report"
    ),
    (
        ".venv/bin/pip install -q -e '.[mutation]' && .venv/bin/mutmut run --max-children 2 "
        "'pytest_soak.model.*'"
    ),
    ".venv/bin/mutmut run --max-children 2",
    ".venv/bin/python -m tests.faults.kills --kills 1000",
    (
        ".venv/bin/pytest -n 2 "
        "tests/guards tests/gates tests/store tests/views tests/docs tests/package"
    ),
    "SOAK_ALL_CRASHES=1 .venv/bin/pytest tests/runner/test_worker_crashes.py",
    "SOAK_ALL_CUTS=1 .venv/bin/pytest tests/faults/test_cuts.py",
    "SOAK_LEAK_ITERATIONS=400 .venv/bin/pytest tests/systems/test_leaks.py",
    ".venv/bin/python tests/soak/market_seeds.py",
    (
        ".venv/bin/pip install -q -e plugins/pytest-soak-optuna && "
        ".venv/bin/pytest -n 2 plugins/pytest-soak-optuna"
    ),
    ".venv/bin/python plugins/pytest-soak-optuna/bench/pass_share.py",
    ".venv/bin/python tests/bench/guard_rates.py",
    ".venv/bin/python -m tests.bench.verdict_rates",
    ".venv/bin/pip install -q pytest-repeat && .venv/bin/python tests/bench/cost.py",
    ".venv/bin/python -m pytest_soak_market.bench --set development",
    ".venv/bin/python -m pytest_soak_market.bench --set held-out",
    ".venv/bin/python -m pytest_soak_market.bench search",
    ".venv/bin/python -m pytest_soak_market.bench bounded --set held-out",
    ".venv/bin/python -m pytest_soak_market.bench measure",
    (
        "PYTHONPATH=. .venv/bin/python -m pytest_soak_market.bench -p with_optuna --tuner optuna "
        "--set held-out"
    ),
    ".venv/bin/python -m tests.fuzz.hostile --inputs 100000 --seed 0",
    "pip install ./pytest-soak ./pytest-soak/plugins/pytest-soak-market",
    ".venv/bin/pip install -q -e '.[examples]'",
    ".venv/bin/pip install -q -e '.[examples]' && .venv/bin/pytest tests/examples",
}
"""Shell lines that are not run here, because they use the network or take minutes."""


class Reader:
    """Runs the examples of a page in its own folder."""

    def __init__(
        self,
        pytester: pytest.Pytester,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self._pytester = pytester
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def read(self, block: Block) -> None:
        if block.kind in WRITTEN and block.title:
            path = self._pytester.path / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.kind == "console":
            self._follow(commands(block.text))
        elif block.kind == "sh":
            assert block.text.strip() in SHELL_LINES
            for path in re.findall(r" ((?:tests|plugins)/[\w./-]+)", block.text):
                assert (ROOT / path).exists(), path
        else:
            pytest.fail(f"no rule covers this block: ```{block.kind}\n{block.text}```")

    def _follow(self, lines: list[Command]) -> None:
        checked = [*lines[1:], Command("", ())]
        for command, after in zip(lines, checked, strict=True):
            if command.line == "echo $?":
                continue
            words = shlex.split(command.line)
            environ = {}
            while "=" in words[0]:
                name, _, environ[name] = words.pop(0).partition("=")
            code = int(after.shown[0]) if after.line == "echo $?" else 0
            output = self._run(words, environ, code, command.line)
            assert_shows(output, command.shown, command.line)

    def _run(self, words: list[str], environ: Mapping[str, str], code: int, line: str) -> str:
        if words[0] == "cat":
            return (self._pytester.path / words[1]).read_text(encoding="utf-8")
        if words[0] == "pytest-soak":
            found, lines = told(*words[1:])
            output = "".join(f"{text}\n" for text in lines)
            assert found == code, f"$ {line}\nended with {found}, not {code}\n{output}"
            return output
        if words[0] == "python":
            return self._python(words[1:])
        assert words[0] == "pytest", f"no rule runs this command: {line}"
        with self._monkeypatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            self._capsys.readouterr()
            result = self._pytester.runpytest_inprocess(*words[1:], "-p", "no:randomly")
        output = "".join(self._capsys.readouterr())
        assert result.ret == code, f"$ {line}\nended with {result.ret}, not {code}\n{output}"
        return output

    def _python(self, words: list[str]) -> str:
        """Run a program of the page; HEAD is replaced with the head that a soak has shown."""
        journal = self._pytester.path / "artifacts" / "soak" / "latest" / "journal.jsonl"
        head = sha256(journal.read_bytes().splitlines()[-1]).hexdigest()[:16]
        ran = subprocess.run(
            [sys.executable, *(head if word == "HEAD" else word for word in words)],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@pytest.fixture
def reader(
    pytester: pytest.Pytester,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Reader:
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "CI"):
        monkeypatch.delenv(name, raising=False)
    return Reader(pytester, capsys, monkeypatch)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_example_of_a_page_does_what_the_page_says(page: Path, reader: Reader) -> None:
    for block in blocks(page):
        if not in_the_repository(block):
            reader.read(block)


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (Block("text", "", "hello\n"), "no rule covers"),
        (Block("python", "", "1 / 0\n"), "no rule covers"),
        (Block("sh", "", "make all\n"), "make all"),
        (Block("console", "", "$ rm x\n"), "no rule runs"),
        (Block("console", "", "$ pytest\n$ echo $?\n0\n"), "ended with 5, not 0"),
        (Block("console", "", "$ pytest\n...\nall well\n$ echo $?\n5\n"), "should show"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_an_unknown_or_wrong_block_is_an_error(block: Block, why: str, reader: Reader) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception), match=why):
        reader.read(block)


def test_the_readme_shows_the_main_job_as_it_is(tmp_path: Path) -> None:
    shown = [block for block in blocks(PAGES[0]) if is_the_main_job(block)]
    assert len(shown) == 2
    for block in shown:
        follow_in_the_repository(block, tmp_path)


@pytest.mark.parametrize(
    ("heading", "arguments"), [("Run", "--soak-iterations=6 --auto-tune"), ("Test", "-n 3")]
)
def test_the_first_block_of_run_and_test_is_one_line_that_installs(
    heading: str, arguments: str
) -> None:
    section = PAGES[0].read_text(encoding="utf-8").split(f"\n## {heading} it\n")[1]
    first = FENCE.search(section)
    assert first
    assert first[2] == f"{INSTALL}.venv/bin/pytest {arguments}\n"


def all_flags(config: pytest.Config) -> set[str]:
    """Return the options of pytest-soak; pytest-soak-optuna has its own README."""
    group = config._parser.getgroup("soak")
    flags = {flag for option in group.options for flag in option.names()}
    return {flag for flag in flags if not flag.startswith("--soak-optuna")}


def test_every_option_and_its_ini_twin_is_documented_and_no_other(
    pytestconfig: pytest.Config,
) -> None:
    inis = {options.COMMAND, *(setting.ini for setting in options.SETTINGS)}
    page = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(--[a-z-]+)", page)) == all_flags(pytestconfig)
    assert set(re.findall(r"`(soak_[a-z_]+)`", page)) == inis
    rows = re.findall(r"^\| `--soak-([a-z-]+) [^|]*\| [^|]*\| `([a-z_]+)=` ", page, re.MULTILINE)
    assert {name for _, name in rows} == {s.name for s in options.SETTINGS if s.marker}


def test_an_option_that_a_page_mentions_exists(pytestconfig: pytest.Config) -> None:
    flags = all_flags(pytestconfig)
    for page in PAGES:
        if page.name == "known-limits.md":  # lists those that are not there yet
            continue
        named = re.findall(r"--(?:soak-[a-z-]+[a-z]|auto-tune)", page.read_text(encoding="utf-8"))
        assert set(named) <= flags, page.name


def test_every_artifact_is_documented() -> None:
    page = (ROOT / "docs" / "artifacts.md").read_text(encoding="utf-8")
    for artifact in artifacts.TABLE:
        assert f"| `{artifact.name.format('N')}` |" in page
        assert f"| [`{artifact.schema}`](../pytest_soak/schemas/{artifact.schema}" in page
    assert f"| `{RUNS}/" in page


def test_every_artifact_that_a_run_leaves_is_documented(pytester: pytest.Pytester) -> None:
    page = (ROOT / "docs" / "artifacts.md").read_text(encoding="utf-8")
    pytester.makepyfile("def test_queue(soak): soak.run()")
    pytester.runpytest_inprocess("--soak-iterations=3", "--auto-tune", "-p", "no:randomly")
    folder = pytester.path / "artifacts" / "soak" / "latest"
    left = [path for path in folder.rglob("*") if path.is_file()]
    implied = dict(artifacts.rebuild(read_journal(folder / JOURNAL)))
    assert len(left) == len(implied) + 1 >= 3 + 3 + 1 + 5  # and the journal
    for path in left:
        assert re.sub(r"\d+", "N", path.name) in page, path


def test_every_key_and_kind_of_the_journal_is_documented(pytester: pytest.Pytester) -> None:
    page = (ROOT / "docs" / "journal.md").read_text(encoding="utf-8")
    schema = schema_of("journal.jsonl")
    described = [schema, *(schema["$defs"][n] for n in ("iteration_record", *KINDS))]
    for name in (
        *schema["properties"]["kind"]["enum"],
        *(k for d in described for k in d["properties"]),
    ):
        assert f"`{name}`" in page, name
    pytester.makepyfile("def test_queue(soak): soak.run()")
    pytester.runpytest_inprocess("--soak-iterations=3", "--auto-tune", "-p", "no:randomly")
    journal = pytester.path / "artifacts" / "soak" / "latest" / "journal.jsonl"
    records = read_journal(journal)
    assert {record["kind"] for record in records} == {"run_started", "iteration", "run_ended"}
    for key in {key for record in records for key in record}:
        assert f"`{key}`" in page, key


def test_every_option_of_a_command_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    common = {"--soak-dir", "--chain", "--run"}
    for name in cli.COMMANDS:
        _, lines = told(name, "--help")
        flags = set(re.findall(r"^  (--[a-z-]+)", "\n".join(lines), re.MULTILINE))
        section = page.split(f"\n## {name}\n")[1].partition("\n## ")[0]
        assert set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE)) == flags - common
    head = page.partition("\n## ")[0]
    assert set(re.findall(r"^\| `(--[a-z-]+)", head, re.MULTILINE)) == common


def test_every_hook_is_documented_on_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in vars(hookspecs):
        if name.startswith("pytest_soak_"):
            assert f"def {name}(" in text, f"no example implements {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = page.parent / file if file else page
        assert there.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in slugs, target


def test_every_page_is_listed_in_the_readme() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert f"(docs/{page.name})" in text


def test_the_picture_shows_what_the_readme_shows_as_text() -> None:
    svg = (ROOT / "docs" / "report.svg").read_text(encoding="utf-8")
    lines: dict[str, str] = {}
    for number, text in re.findall(r'#[\w-]+-line-(\d+)\)">([^<]*)</text>', svg):
        lines[number] = lines.get(number, "") + text
    drawn = {re.sub(r"&#160;|\s", "", text).replace("&gt;", ">") for text in lines.values()}
    block = next(block for block in blocks(PAGES[0]) if "errors>0.04" in block.text)
    table = block.text.split("test_queue.py::test_queue\n")[1].split("  artifacts")[0]
    for line in table.splitlines():
        assert re.sub(r"\s", "", line) in drawn, line


def test_every_picture_of_verdicts_is_shown_small_and_needs_no_network() -> None:
    page = (ROOT / "docs" / "verdict.md").read_text(encoding="utf-8")
    pictures = sorted((ROOT / "docs").glob("verdict-*.svg"))
    assert len(pictures) == 5
    for picture in pictures:
        assert f"]({picture.name})" in page
        assert picture.stat().st_size < 40_000
        links = re.findall(r'href="([^"]*)"', picture.read_text(encoding="utf-8"))
        assert all(link.startswith("#") for link in links)
