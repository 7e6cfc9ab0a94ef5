"""Files: deterministic JSON, replaced atomically."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_soak.store import files
from pytest_soak.store.files import (
    LARGEST_TEXT,
    LARGEST_VALUES,
    document,
    jsonable,
    line,
    too_large,
)
from tests.fuzz.values import Blind, Mute, TouchyDict, TouchyFloat, TouchyInt, TouchyList, TouchyStr
from tests.support import ODD, victim

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


QUICK = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(TEXT, JSON, max_size=4), st.randoms(use_true_random=False))
def test_a_document_is_json_and_independent_of_the_order_of_keys(
    value: dict[str, Any], random: Random
) -> None:
    text = document(value)
    assert json.loads(text) == value
    assert text.endswith("\n")
    keys = list(value)
    random.shuffle(keys)
    assert document({key: value[key] for key in keys}) == text
    text.encode()


@given(JSON)
def test_a_line_is_one_line_of_json(value: object) -> None:
    text = line(value)
    assert json.loads(text) == value
    assert "\n" not in text
    text.encode()


def test_keys_are_sorted_at_every_depth() -> None:
    assert line({"b": {"d": 1, "c": 2}, "a": 3}) == '{"a": 3, "b": {"c": 2, "d": 1}}'


@pytest.mark.parametrize(
    ("value", "text"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")]
)
def test_a_number_that_json_cannot_represent_becomes_text(value: float, text: str) -> None:
    written = json.loads(document({"totals": {"net": [value], "ok": 1.5}}))
    assert written == {"totals": {"net": [text], "ok": 1.5}}


def test_objects_that_are_not_json_become_text() -> None:
    assert json.loads(document({"folder": Path("a"), "pair": (1, 2)})) == {
        "folder": "a",
        "pair": [1, 2],
    }


@pytest.mark.parametrize("value", [{1: 2}, {1: 2, "a": 3}, {None: 1}, {"in": {1: 2, "a": 3}}])
def test_keys_become_text(value: dict[Any, Any]) -> None:
    json.loads(document(value))


def test_a_reader_never_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "overrides.json"
    files.write_text(str(path), '{"workers": 2}')

    def crashing(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crashing)
    with pytest.raises(KeyboardInterrupt):
        files.write_text(str(path), '{"workers": 4}')
    assert json.loads(path.read_text("utf-8")) == {"workers": 2}


@pytest.mark.parametrize("write", [files.write_synced, files.create_synced, files.replace_synced])
@pytest.mark.parametrize("place", ["missing/a.json", "a.json"])
def test_what_cannot_be_written_is_told_with_its_path(
    tmp_path: Path, write: Callable[[str, str], None], place: str
) -> None:
    path = tmp_path / place
    if not path.parent.exists():
        why = "No such file or directory"
    else:
        path.mkdir()
        why = "Is a directory"
    with pytest.raises(files.StoreError, match=rf"{place}.*: cannot be written: .*{why}"):
        write(str(path), "{}")


def test_a_folder_that_cannot_be_synced_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(files, "sync_folder", fails)
    for write in (files.create_synced, files.replace_synced):
        with pytest.raises(files.StoreError, match=r"a\.json: cannot be written: .*output error"):
            write(str(tmp_path / "a.json"), "{}")


def test_a_circular_reference_ends_at_the_maximum_depth() -> None:
    circle: dict[str, object] = {"value": math.nan}
    circle["self"] = circle
    found = json.loads(line(circle))
    assert found["value"] == "nan"
    for _ in range(files.MAX_DEPTH - 1):
        found = found["self"]
    assert found == {"value": "nested deeper than 40", "self": "nested deeper than 40"}


@pytest.mark.parametrize(
    "value",
    [
        10**5000,
        Blind(),
        TouchyStr("a"),
        TouchyInt(7),
        {Mute(): Blind()},
        {10**5000: [TouchyList([1])]},
    ],
    ids=["huge", "blind", "text", "number", "key", "huge key"],
)
def test_any_object_of_a_plugin_can_be_written(value: object) -> None:
    assert line(jsonable(value)) == line(json.loads(line(jsonable(value))))
    assert line({"value": value, "odd": math.nan})


def test_methods_of_subclasses_are_not_called() -> None:
    value = TouchyDict({TouchyStr("a"): TouchyList([TouchyFloat(0.5), TouchyInt(7)])})
    assert jsonable(value) == {"a": [0.5, 7]}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_regular_file_is_neither_read_nor_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file.json"
    ODD[kind](path)
    told = rf"it is {kind}; allowed: a regular file"
    with pytest.raises(OSError, match=told):
        files.read_bytes(path)
    with pytest.raises(OSError, match=told):
        files.open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with pytest.raises(OSError, match=told):
        files.refuse_other(path)
    assert not files.holds(path, b"")
    assert not files.holds(path, b"precious")


def test_a_link_from_a_user_is_followed_to_a_regular_file_alone(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(victim(link))
    assert files.read_text(link) == "precious"
    link.unlink()
    link.symlink_to("/dev/zero")
    with pytest.raises(OSError, match="it is a device; allowed: a regular file"):
        files.read_text(link)


def test_a_file_that_turns_into_a_pipe_while_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.json"
    os.mkfifo(path)
    with monkeypatch.context() as patched:
        regular = Path(__file__).stat()
        patched.setattr(os, "stat", lambda *_, **__: regular)
        with pytest.raises(OSError, match="allowed: a regular file"):
            files.open_regular(path)
        link = tmp_path / "link"
        link.symlink_to(victim(link))
        with pytest.raises(OSError, match="symbolic links"):
            files.open_regular(link)


def test_a_file_has_a_largest_size(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(OSError, match=f"it has {2**40} bytes; allowed: {files.MAX_BYTES}"):
        files.read_bytes(path)
    assert not files.holds(path, b"")
    path.write_bytes(b"12345")
    assert files.read_bytes(path, 5) == b"12345"
    assert files.holds(path, b"12345")
    with pytest.raises(OSError, match="it has 5 bytes; allowed: 4"):
        files.read_bytes(path, 4)


LEFT: dict[str, Callable[[Path], object]] = {
    **{kind: ODD[kind] for kind in ("a link", "a pipe", "a socket")},
    "a hard link": lambda path: path.hardlink_to(victim(path)),
    "a file": lambda path: path.write_text("half a f"),
}


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("write", [files.write_text, files.replace_synced, files.create_synced])
@pytest.mark.parametrize("draft", ["", ".tmp"])
def test_what_lies_in_the_place_of_a_file_is_replaced_and_never_written_through(
    tmp_path: Path, write: Callable[[str, str], None], left: str, draft: str
) -> None:
    path = tmp_path / "overrides.json"
    LEFT[left](tmp_path / f"overrides.json{draft}")
    write(str(path), "{}")
    assert path.read_text() == "{}"
    assert not path.is_symlink()
    kept = tmp_path / "victim"
    assert not kept.exists() or kept.read_text() == "precious"


@pytest.mark.parametrize("write", [files.write_text, files.replace_synced, files.create_synced])
def test_a_folder_in_the_place_of_a_file_is_an_error(
    tmp_path: Path, write: Callable[[str, str], None]
) -> None:
    path = tmp_path / "overrides.json"
    path.mkdir()
    with pytest.raises(files.StoreError, match=r"overrides\.json: cannot be written: "):
        write(str(path), "{}")


def test_a_folder_of_ours_is_no_link(tmp_path: Path) -> None:
    place, link = tmp_path / "place", tmp_path / "link"
    files.make_folder(place / "in" / "it")
    files.make_folder(place / "in" / "it")
    link.symlink_to(place)
    with pytest.raises(OSError, match="it is a link; allowed: a folder"):
        files.make_folder(link)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="it is a file; allowed: a folder"):
        files.make_folder(tmp_path / "file")
    assert files.is_folder(place)
    assert not files.is_folder(link)
    files.refuse_other(tmp_path / "nothing", stat.S_IFDIR)


@pytest.mark.parametrize(
    ("value", "large"),
    [
        ([0] * LARGEST_VALUES, False),
        ([0] * (LARGEST_VALUES + 1), True),
        ({"a": [0] * (LARGEST_VALUES // 2), "b": (0,) * (LARGEST_VALUES // 2 - 2)}, False),
        ({"a": [0] * (LARGEST_VALUES // 2), "b": (0,) * (LARGEST_VALUES // 2)}, True),
        (["a" * LARGEST_TEXT], False),
        (["a" * LARGEST_TEXT, "a"], True),
        ({"a" * LARGEST_TEXT: 1, "a": 1}, True),
        (TouchyDict({"a": TouchyList([TouchyStr("a"), Blind(), None])}), False),
    ],
    ids=["list", "long list", "tables", "large tables", "text", "texts", "keys", "touchy"],
)
def test_whether_a_report_is_too_large(value: object, *, large: bool) -> None:
    assert too_large(value) is large


def test_how_large_a_report_is_that_repeats_itself() -> None:
    ring: list[object] = [1]
    ring.append(ring)
    assert not too_large(ring), "it ends where it is nested too deeply"
    for _ in range(30):
        ring = [ring, ring]
    assert too_large(ring), "written out, it would have a billion entries"
