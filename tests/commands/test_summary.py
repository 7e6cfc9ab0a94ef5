"""`pytest-soak summary` prints the content of artifacts as Markdown, for every chain."""

from __future__ import annotations

import shutil
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pytest_soak.commands.cli import main
from pytest_soak.commands.summary import SHOWN, escaped, summed_up, table
from pytest_soak.model.safe_repr import one_line
from tests.commands.conftest import only_chain, soak
from tests.support import linked, read_json, records, told

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from markdown_it.token import Token

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
FAILS = """
def test_demo(soak):
    soak.run()
    assert soak.iteration != 2
"""


def tables(lines: Iterable[str]) -> list[list[list[str]]]:
    """Return the cells of each table, as they are shown."""
    found: list[list[list[str]]] = []
    tokens = MARKDOWN.parse("\n".join(lines))
    for token, inner in pairwise(tokens):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("td_open", "th_open"):
            found[-1][-1].append(shown(inner))
    return found


def shown(token: Token) -> str:
    """Return the text that is shown; fail on anything else."""
    assert all(child.type == "text" for child in token.children or ()), token
    return "".join(child.content for child in token.children or ())


def test_the_summary_of_an_ended_run_agrees_with_its_artifacts(ended: Path) -> None:
    code, lines = told("summary", "--soak-dir", "ended")
    assert code == 0
    gate, tuning = read_json(ended / "KPI_GATE.json"), read_json(ended / "TUNING_REPORT.json")
    assert lines[0] == f"## {gate['verdict']}: {escaped(tuning['chain'])}"
    _, kpis, rows = tables(lines)
    assert {row[0]: row[-1] for row in kpis[1:]} == gate["verdicts"]
    limits = [[row[0], *(text or None for text in row[1:3])] for row in kpis[1:]]
    assert limits == [[k, t["warn"], t["fail"]] for k, t in gate["thresholds"].items()]
    for name, *_, values, _ in kpis[1:]:
        assert values == ", ".join(f"{one['value']:.6g}" for one in gate["kpis"][name])
    assert [[row[0], row[-2]] for row in rows[1:]] == [
        [str(row["iteration"]), row["verdict"]] for row in tuning["rows"]
    ]
    for row, line in zip(tuning["rows"], rows[1:], strict=True):
        words = [move["reason"] for move in row["moves"]] or [row["skip_reason"]]
        assert all(word in line[-1] for word in words)


def test_a_restart_of_the_system_is_shown(ended: Path) -> None:
    found = records(ended)
    found[2]["summary"]["restarted"] = True
    *_, rows = tables(summed_up(found))
    assert [row[-2] for row in rows[1:4]] == ["FAIL", "FAIL, after a restart of the system", "WARN"]


def test_all_chains_are_shown_unless_one_is_selected(workplace: Path) -> None:
    both = workplace / "both"
    for name in ("ended", "keeps"):
        chain = only_chain(workplace / name)
        shutil.copytree(chain, both / f"{name}_{chain.name}")
    code, lines = told("summary", "--soak-dir", both)
    assert code == 0
    assert sum(line.startswith("## PASS: ") for line in lines) == 2
    _, lines = told("summary", "--soak-dir", both, "--chain", "keeps_")
    assert sum(line.startswith("## ") for line in lines) == 1


def test_an_interrupted_run_has_the_verdict_of_its_artifact(broken: Path) -> None:
    code, lines = told("summary", "--soak-dir", "broken")
    assert code == 0
    verdict = read_json(broken / "KPI_GATE.json")["verdict"]
    assert lines[0].startswith(f"## {verdict}: ")
    assert "- The run was interrupted before the gate; `--soak-resume` continues it." in lines


def test_a_killed_run_has_no_verdict(ended: Path) -> None:
    journal = ended / "journal.jsonl"
    journal.write_bytes(linked(records(ended)[:4]))
    code, lines = told("summary", "--soak-dir", "ended")
    assert code == 0
    assert lines[0].startswith("## No verdict: ")
    assert "- The run was interrupted before the gate; `--soak-resume` continues it." in lines
    (rows,) = tables(lines)
    assert len(rows) == 1 + 3
    journal.write_bytes(linked(records(ended)[:1]))
    code, lines = told("summary", "--soak-dir", "ended")
    assert code == 0
    assert not tables(lines)


def test_tests_that_did_not_pass_are_named(tmp_path: Path) -> None:
    (tmp_path / "test_demo.py").write_text(FAILS)
    soak(tmp_path, "--soak-iterations=3", "--soak-scenario=calm", code=1)
    _, lines = told("summary", "--soak-dir", tmp_path / "artifacts" / "soak")
    assert "- The tests of these iterations did not pass: 2" in lines


def test_a_long_run_shows_its_last_iterations_and_the_number_of_earlier_ones(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_demo.py").write_text("def test_demo(soak): soak.run()\n")
    soak(tmp_path, f"--soak-iterations={SHOWN + 2}", "--soak-scenario=calm", "--auto-tune")
    _, lines = told("summary", "--soak-dir", tmp_path / "artifacts" / "soak")
    *_, rows = tables(lines)
    assert [row[0] for row in rows[1:]] == [str(n) for n in range(3, SHOWN + 3)]
    assert "2 earlier iterations are in the journal." in lines


def test_a_run_can_be_named_without_its_chain(workplace: Path) -> None:
    _, lines = told("summary", "--soak-dir", workplace / "ended", "--run", "2")
    assert lines == told("summary", "--soak-dir", workplace / "ended")[1]


@pytest.mark.parametrize("damage", ["changed", "empty", "gone"])
def test_an_unreadable_run_is_shown_beside_the_others(
    workplace: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    both = workplace / "both"
    for name in ("ended", "keeps"):
        chain = only_chain(workplace / name)
        shutil.copytree(chain, both / f"{name}_{chain.name}")
    (journal,) = both.glob("ended_*/journal.jsonl")
    if damage == "gone":
        journal.unlink()
    else:
        journal.write_bytes(journal.read_bytes()[1:] if damage == "changed" else b"")
    code = main(["summary", "--soak-dir", str(both)])
    captured = capsys.readouterr()
    heads = [line for line in captured.out.splitlines() if line.startswith("## ")]
    assert code == 4
    assert heads[0] == f"## UNREADABLE: {escaped(journal.parent.name)}"
    assert heads[1].startswith("## PASS: ")
    assert escaped(str(journal)) in captured.out
    assert not captured.err


def test_a_page_without_a_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["summary", "--soak-dir", str(tmp_path)])
    captured = capsys.readouterr()
    assert (code, captured.err) == (4, "")
    why = escaped(f"--soak-dir: there are no soaks in {tmp_path}")
    assert captured.out == f"## NO RUN: {why}\n\n"


def hostile(records: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Return *records* with *text* in place of every name that a user can choose."""
    config = {**records[0]["config"], "chain": text, "scenario": text}
    said = {"kind": "closing", "iteration": 0, "data": {"text": text}}
    ended = {**records[-1], "problems": [said]}
    return [{**records[0], "config": config}, *records[1:-1], ended]


@pytest.mark.parametrize("text", ["a|b", "<img src=x>", "[a](b)", "`a", "**a**", "a\\|b", "&lt;"])
def test_names_are_shown_without_acting_as_markdown(ended: Path, text: str) -> None:
    lines = summed_up(hostile(records(ended), text))
    tokens = MARKDOWN.parse("\n".join(lines))
    inline = [shown(token) for token in tokens if token.type == "inline"]
    assert inline[0].endswith(f": {text}")
    assert f"/{text}, tuner" in inline[1]
    assert inline[2] == f"closing: {text}"


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
@example("\U000e0100")  # shows nothing, so it is escaped
def test_a_cell_shows_exactly_its_safe_text(text: str) -> None:
    ((_, (cell, other)),) = tables(table(("one", "two"), [(text, "other")]))
    assert (cell, other) == (one_line(text), "other")
