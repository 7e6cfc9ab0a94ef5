"""A mistake in the table of a guard ends pytest with exit 4, before anything runs."""

from __future__ import annotations

from importlib import resources

import pytest

REST = """
from dataclasses import dataclass
from typing import Annotated

from pytest_soak import Setting


class Rest:
    @dataclass(frozen=True)
    class Settings:
        iterations: Annotated[int, Setting("how long it rests", least=1)] = 1

    def review(self, history, decision, settings):
        assert settings.iterations >= 1
        return decision


def pytest_soak_guards():
    return {"rest": lambda pack: Rest()}
"""
TEST = """
from pathlib import Path

def test_queue(soak):
    Path("ran").touch()
    soak.run()
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a project with its own guard and one soak."""
    pytester.makeconftest(REST)
    pytester.makepyfile(test_queue=TEST)
    return pytester


def overlaid(project: pytest.Pytester, tables: str, *options: str) -> pytest.RunResult:
    """Run the soak of the demo pack with *tables* of guards in pyproject.toml."""
    project.makepyprojecttoml(f"[tool.pytest-soak.packs.demo.guards]\n{tables}\n")
    return project.runpytest("--soak-iterations=3", "--auto-tune", *options)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "two workers"])
def test_all_mistakes_are_reported_before_anything_runs(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    result = overlaid(project, "cooldwn = { iterations = 3 }\nrest = { iteration = 3 }", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = "".join(f"{line}\n" for line in (*result.errlines, *result.outlines))
    for line in (
        "guards.rest: unknown key 'iteration', did you mean 'iterations'?; allowed: iterations, e",
        "guards.cooldwn: unknown guard 'cooldwn', did you mean 'cooldown'?; allowed: conflict, ",
    ):
        assert f"pyproject.toml, [tool.pytest-soak.packs.demo]: {line}" in told
    assert "Traceback" not in told
    assert not (project.path / "ran").exists()
    assert not list(project.path.rglob("journal.jsonl"))


@pytest.mark.parametrize(
    ("tables", "line"),
    [
        ('rest = { iterations = "3" }', "guards.rest.iterations: '3' given; allowed: a whole numb"),
        ("rest = { iterations = 0 }", "guards.rest.iterations: 0 given; allowed: 1 or more"),
        ("rest = { iterations = 2, enabled = 1 }", "guards.rest.enabled: 1 given; allowed: true"),
    ],
)
def test_a_wrong_value_for_a_plugins_guard_is_a_usage_error(
    project: pytest.Pytester, tables: str, line: str
) -> None:
    result = overlaid(project, tables)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert any(line in told for told in result.errlines)


def test_settings_reach_the_guard_and_a_switched_off_guard_is_not_called(
    project: pytest.Pytester,
) -> None:
    for tables in ("rest = { iterations = 3 }", "rest = { enabled = false }", ""):
        assert overlaid(project, tables, "--soak-pack=demo").ret != pytest.ExitCode.USAGE_ERROR
    text = (project.path / "conftest.py").read_text()
    (project.path / "conftest.py").write_text(text.replace("assert ", "assert not "))
    asked = overlaid(project, "rest = { iterations = 3 }")
    asked.stdout.fnmatch_lines(
        ["*hook pytest_soak_guards, 'rest': review() raised AssertionError*"]
    )
    off = overlaid(project, "rest = { enabled = false }")
    off.stdout.no_fnmatch_line("*'rest'*")


CLASSES = (
    REST
    + """

class Nap(Rest):
    pass


class Doze(Rest):
    pass


def pytest_soak_guards():
    return {"rest": lambda pack: Rest(), "nap": Nap, "doze": Doze}
"""
)


def test_mistakes_of_the_pack_and_of_guards_are_one_error(project: pytest.Pytester) -> None:
    project.makeconftest(CLASSES)
    project.makepyprojecttoml(
        "[tool.pytest-soak.packs.demo]\n"
        "parameters.workers.limts = [1, 2]\n"
        "guards.cooldwn.iterations = 3\n"
        "guards.cooldown.iterations = -1\n"
        "guards.drift.share = inf\n"
        "guards.nap.iterations = 0\n"
        "guards.doze.iterations = 2\n"
        "guards.rest.iterations = 0\n"
    )
    result = project.runpytest("--soak-iterations=3", "--auto-tune")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    head, *lines = (line for line in result.errlines if line)
    assert head.endswith("demo.toml with [tool.pytest-soak.packs.demo]: 5 mistakes")
    source = "  pyproject.toml, [tool.pytest-soak.packs.demo]: "
    assert all(line.startswith(source) for line in lines)
    assert [line.removeprefix(source).partition(":")[0] for line in lines] == [
        "parameters.workers",
        "guards.cooldwn",
        "guards.cooldown.iterations",
        "guards.drift.share",
        "guards.nap.iterations",  # the guard rest is made by a function, for a sound pack
    ]


def test_a_mistake_in_the_packs_file_names_the_file(project: pytest.Pytester) -> None:
    text = resources.files("pytest_soak.packs").joinpath("demo.toml").read_text("utf-8")
    path = project.path / "mine.toml"
    path.write_text(text + "\n[guards.rest]\niteration = 3\n")
    result = project.runpytest("--soak-iterations=3", "--auto-tune", f"--soak-pack={path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in result.errlines if "guards" in line)
    assert line.startswith(f"ERROR: pack {path}: guards.rest: unknown key 'iteration'")


def test_invalid_settings_classes_are_refused_with_the_plugins_name(
    project: pytest.Pytester,
) -> None:
    text = (project.path / "conftest.py").read_text()
    (project.path / "conftest.py").write_text(text.replace("(frozen=True)", ""))
    result = overlaid(project, "")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in result.errlines if "rest" in line)
    assert "conftest.py, hook pytest_soak_guards, 'rest': Settings: <class" in line
    assert "allowed: `Settings`, a frozen dataclass" in line
