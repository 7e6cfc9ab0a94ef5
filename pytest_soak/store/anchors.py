"""Anchors: the runs that people accepted as baselines. They are copies: runs may be deleted."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import Meta

from pytest_soak.errors import UNREADABLE, why_unreadable
from pytest_soak.model.metrics import LARGEST
from pytest_soak.store.cell import SESSION
from pytest_soak.store.files import (
    StoreError,
    document,
    make_folder,
    parse_json,
    read_text,
    refuse_other,
    replace_synced,
)

if TYPE_CHECKING:
    from pathlib import Path

ANCHORS = "baselines"
"""The folder of the anchors, in that of the soaks."""
MOST = 10**9
"""How many iterations no run has."""


class Summed(TypedDict):
    """What a metric was in a run, see `pytest_soak.model.stretch.RunValues`."""

    n: Annotated[int, Meta(ge=1, le=MOST)]
    mean: Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
    sigma: Annotated[float, Meta(ge=0, le=2 * LARGEST)]


class RunSums(TypedDict):
    """A run with a verdict, and what each metric was in its settled stretch."""

    run: Annotated[str, Meta(pattern=rf"^{SESSION.pattern}(-[0-9a-f]{{12}})?$(?!\n)")]
    verdict: Literal["PASS", "WARN", "INCONCLUSIVE", "FAIL"]
    values: dict[str, Summed]


class Anchor(TypedDict):
    """A run that a person accepted as the baseline of its family.

    Its ``runs`` are earlier ones, the oldest first, which tell how much runs differ.
    """

    v: Literal[1]
    family: str
    chain: str
    accepted: RunSums
    runs: list[RunSums]


def anchor_path(soak_dir: Path, family: str) -> Path:
    """Return the path of the anchor of a *family*."""
    return soak_dir / ANCHORS / f"{family}.json"


def read_anchor(soak_dir: Path, family: str) -> Anchor | None:
    """Return the anchor of a *family*, or None if no run was accepted. Follows no link.

    Raises:
        StoreError: It cannot be read, or is not what `write_anchor` writes.
    """
    path = anchor_path(soak_dir, family)
    why = "is of another family"
    try:
        refuse_other(path.parent, stat.S_IFDIR)
        anchor = msgspec.convert(parse_json(read_text(path, follow=False)), Anchor)
        if anchor["family"] == family:
            return anchor
    except FileNotFoundError:
        return None
    except UNREADABLE as error:  # msgspec's error is a ValueError
        why = why_unreadable(error)
    msg = f"{path}: {why}; `pytest-soak baseline forget` removes it"
    raise StoreError(msg)


def write_anchor(soak_dir: Path, anchor: Anchor) -> Path:
    """Write the anchor of a family, in place of an earlier one; return its path.

    Raises:
        StoreError: It cannot be written.
        OSError: Its folder cannot be made, or is a link.
    """
    path = anchor_path(soak_dir, anchor["family"])
    make_folder(path.parent)
    content: dict[str, Any] = {**anchor}
    replace_synced(str(path), document(content))
    return path


def accepted_families(soak_dir: Path) -> list[str]:
    """Return the families with an anchor, readable or not."""
    return sorted(path.stem for path in (soak_dir / ANCHORS).glob("*.json"))


def remove_anchor(soak_dir: Path, family: str) -> Path:
    """Remove the anchor of a *family*; return its path.

    Raises:
        OSError: It cannot be removed, or is in a folder that is a link.
    """
    path = anchor_path(soak_dir, family)
    refuse_other(path.parent, stat.S_IFDIR)
    path.unlink(missing_ok=True)
    return path
