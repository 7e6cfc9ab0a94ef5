"""Cells: what makes a chain another experiment, and the names that follow from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_soak.model.mode import Mode
from pytest_soak.store import cell
from pytest_soak.store.cell import (
    IDENTITY,
    cell_id,
    family_id,
    folder_name,
    new_session,
    run_age,
    run_id,
    session_of,
)
from tests.fuzz.chains import DEMO, SESSION, asked, planned

if TYPE_CHECKING:
    from pytest_soak.config.plan import ChainPlan

BACK = datetime(2026, 1, 1, tzinfo=UTC)
"""What the clock of these tests shows."""


class Clock(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: object = None) -> Clock:  # it has one time zone
        del tz
        return cls(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock show `BACK`."""
    monkeypatch.setattr(cell, "datetime", Clock)


def plan(folder: Path = Path(), pack: Path = DEMO, **options: object) -> ChainPlan:
    return planned(asked(folder, pack, **options))  # type: ignore[arg-type] # all are settings


def test_every_setting_of_the_identity_gives_another_cell(tmp_path: Path) -> None:
    """A pack or profile of the same name in another file is another one."""
    copy = tmp_path / "demo.toml"
    copy.write_bytes(DEMO.read_bytes())
    (tmp_path / "default.toml").write_text("workers = 2\nbatch_size = 40\nbackoff_s = 0.2\n")
    plans = [
        plan(),
        plan(pack=copy),
        plan(profile=str(tmp_path / "default.toml")),
        plan(scenario="calm"),
        plan(seed=1),
        plan(seed=2),
        plan(tuner="adaptive"),
        plan(mode=Mode.OFF),
        plan(mode=Mode.RECOMMEND),
        planned(asked(Path()), own=True),
    ]
    assert len({found.cell for found in plans}) == len({found.slug for found in plans}) == 10


def test_thresholds_length_and_starting_overrides_give_no_other_cell() -> None:
    others = [plan(iterations=12), plan(observe=1), plan(gate=["throughput>=1"])]
    assert {found.cell for found in others} == {plan().cell}


@pytest.mark.parametrize("name", IDENTITY)
def test_the_id_follows_from_the_recorded_settings(name: str) -> None:
    config = plan().describe()
    assert cell_id(config) == plan().cell
    assert cell_id({**config, name: "other"}) != plan().cell


@pytest.mark.parametrize("name", IDENTITY)
def test_cells_of_a_family_differ_in_their_seed_alone(name: str) -> None:
    config = plan().describe()
    same = family_id({**config, name: "other"}) == family_id(config)
    assert same is (name == "seed")


def test_folder_and_run_carry_the_id() -> None:
    found = plan()
    assert found.slug == f"test_x-{found.cell}"
    assert found.run_id == f"{SESSION}-{found.cell}" == run_id(SESSION, found.cell)
    assert session_of(found.run_id) == SESSION
    assert session_of(SESSION) == SESSION  # a run of 0.1.0
    assert session_of("unknown") == "unknown"


@pytest.mark.parametrize(
    ("test", "name"),
    [
        ("test_x", "test_x"),
        ("test_x[red]", "test_x-red"),
        ("test_x[a::b]", "test_x-a-b"),
        ("test_x[::]", "test_x"),
        ("test_x[a[b::c]]", "test_x-a-b-c"),
        ("TestX::test_x[::a/b]", "test_x-a-b"),
        ("TestX::TestY::test_x", "test_x"),
        (f"test_x[{'long' * 50}]", f"test_x-{'long' * 50}"[:80]),
    ],
)
def test_a_folder_keeps_the_name_of_its_test(test: str, name: str) -> None:
    assert folder_name(test, "0123") == f"{name}-0123"


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("seconds", [-1, 0, 1, 86400, 365 * 86400])
def test_a_later_session_is_newer_whatever_the_clock_shows(seconds: int) -> None:
    earlier = f"{BACK + timedelta(seconds=seconds):%Y%m%dT%H%M%SZ}-ffffff-0123456789ab"
    sessions = [earlier]
    for _ in range(3):
        sessions.append(new_session(sessions, "000000"))
    assert sessions == sorted(sessions, key=run_age)
    assert sessions[1].startswith("20260101T000000Z") is (seconds < 0)


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("name", ["unknown", "", "20269999T000000Z-0123ab", "99991231T235959Z-0"])
def test_a_folder_of_another_name_does_not_set_the_clock(name: str) -> None:
    assert new_session([name], "0123ab") == "20260101T000000Z-0123ab"
