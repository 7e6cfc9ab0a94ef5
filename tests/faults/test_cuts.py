"""A run whose journal is cut anywhere in its last record resumes from the record before.

All places are tried with::

    SOAK_ALL_CUTS=1 pytest tests/faults/test_cuts.py
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.store.journal import read_journal
from pytest_soak.store.store import open_chain
from tests.faults import check
from tests.faults.killer import Order
from tests.faults.lives import ITERATIONS, Story

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytest_soak.store.store import ChainStore

ALL = bool(os.environ.get("SOAK_ALL_CUTS"))
EVERY = 1 if ALL else 7
"""How many bytes lie between two cuts of a store's record."""
CUTS = 40 if ALL else 6
"""In how many places the last record of a killed soak is cut."""
SLUG = "test_x-1234"
RUN = "20260101T000000Z-abcdef"
PLAN = {
    "chain": "test_x",
    "pack": "demo",
    "pack_digest": "0" * 64,
    "profile": "default",
    "base": {"workers": 2},
    "system": "mock",
    "scenario": "busy",
    "tuners": ["steady"],
    "mode": "apply",
    "iterations": 4,
    "observe": 2,
    "seed": 0,
    "objective": None,
    "kpis": {},
}
WORD = {
    "verdict": "PASS",
    "window": [],
    "reasons": [],
    "problems": [],
    "unverified": [],
    "stretch": {"first": 0, "last": 0, "settled": 0},
    "criteria": [],
    "counts": {},
}


def begin(store: ChainStore) -> None:
    store.start(PLAN, {"workers": 2}, "option")


def commit(store: ChainStore) -> None:
    iteration = len(store.iterations) + 1
    digest = store.save_state(iteration, {"ran": iteration})
    summary: dict[str, Any] = {
        "metrics": {},
        "n": {},
        "parameters": {},
        "doubts": {},
        "problems": [],
    }
    body: dict[str, Any] = {
        "report": {"totals": {"latency": 1.5}},
        "settles": {"iteration": iteration - 1, "verified": "true"} if iteration > 1 else None,
        "summary": {**summary, "verdict": "PASS", "in_window": False, "restarted": False},
        "judgements": [],
        "decision": DECISION,
        "applied": True,
        "system_state": digest,
    }
    store.commit(iteration, body, {"workers": 2 + 2 * iteration})


def resume(store: ChainStore) -> None:
    store.record_resume(PLAN, [])


def end(store: ChainStore) -> None:
    store.journal.append("run_ended", 3, WORD)
    store.sum_up()


DECISION: dict[str, Any] = {
    "requests": [],
    "changes": [],
    "vetoes": [],
    "skip_reason": "",
    "asked": {},
    "notices": [],
    "rollback": None,
}
ACTS = (begin, commit, commit, commit, resume, commit, end)


def play(folder: Path, steps: Sequence[Callable[[ChainStore], None]]) -> None:
    """Run each remaining step in a life of its own, which resumes from the files."""
    for step in steps:
        with closing(open_chain(folder, SLUG, RUN)) as store:
            begin(store)
            if step is not begin:
                step(store)


def files_in(folder: Path) -> dict[str, bytes]:
    chain = folder / SLUG
    return {
        str(path.relative_to(chain)): path.read_bytes()
        for path in chain.rglob("*")
        if path.is_file()
    }


def contents(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the contents of the files without times, and the recorded damages."""
    files = files_in(folder)
    del files["journal.jsonl"]
    records = read_journal(folder / SLUG / "journal.jsonl")
    damages = [record["sha256"] for record in records if record["kind"] == "damage_found"]
    said = {name: json.loads(data) for name, data in files.items()}
    said["records"] = [record for record in records if record["kind"] != "damage_found"]
    return check.timeless(said), damages


@pytest.mark.parametrize("last", [2, 4, 6], ids=lambda number: ACTS[number].__name__)
def test_a_journal_may_be_cut_at_every_byte_of_its_last_record(tmp_path: Path, last: int) -> None:
    play(tmp_path, ACTS[:last])
    before = files_in(tmp_path)["journal.jsonl"]
    play(tmp_path, ACTS[last : last + 1])
    files = files_in(tmp_path)
    expected, _ = contents(tmp_path)
    whole = files["journal.jsonl"]
    assert whole.startswith(before)
    for cut in {*range(len(before), len(whole), EVERY), len(whole) - 1}:
        torn = whole[len(before) : cut]
        for name, data in files_in(tmp_path).items():
            if data != files[name]:
                (tmp_path / SLUG / name).write_bytes(files[name])
        (tmp_path / SLUG / "journal.jsonl").write_bytes(before + torn)
        play(tmp_path, ACTS[last : last + 1])
        found, damages = contents(tmp_path)
        assert found == expected, f"cut after {len(torn)} bytes"
        assert damages == ([hashlib.sha256(torn).hexdigest()] if torn else [])


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a soak that was killed after its fourth iteration."""
    story = Story(tmp_path_factory.mktemp("cuts") / "story")
    story.live(Order("between two iterations", hit=4))
    return story.folder


@pytest.mark.parametrize("part", range(CUTS))
def test_a_soak_goes_on_from_a_journal_that_is_cut_in_its_last_record(
    tmp_path: Path, undisturbed: dict[str, check.Files], killed: Path, part: int
) -> None:
    story = Story(tmp_path / "story")
    shutil.copytree(killed, story.folder, symlinks=True, dirs_exist_ok=True)
    (journal,) = story.folder.glob("artifacts/soak/test_one-*/journal.jsonl")
    data = journal.read_bytes()
    last = data.rindex(b"\n", 0, -1) + 1
    journal.write_bytes(data[: last + (len(data) - 1 - last) * part // (CUTS - 1)])
    assert story.live().code == 0
    assert story.judge(undisturbed) == []
    assert story.counters()["only"] == [1, 2, 3, 4, *range(4, ITERATIONS + 1)]
