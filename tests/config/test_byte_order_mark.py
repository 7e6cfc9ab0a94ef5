"""A byte order mark, as some editors and shells write it, does no harm."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING

import pytest

from pytest_soak.config.request import pack_overlays
from tests.support import DEMO

if TYPE_CHECKING:
    from pathlib import Path

OVERRIDES = json.dumps({"workers": 3})
OPTION = f"\ufeff {OVERRIDES}"
FILES = {
    "mine.toml": '[pack]\nextends = "base.toml"\n',
    "base.toml": '[pack]\nextends = "demo"\n',
    "large.toml": "workers = 2\nbatch_size = 40\nbackoff_s = 0.2\n",
    "start.json": OVERRIDES,
    "artifacts/soak/runtime_overrides.json": OVERRIDES,
}


@pytest.mark.parametrize(
    ("option", "variable", "source"),
    [
        ("--soak-overrides=start.json", "", "option"),
        (f"--soak-overrides={OPTION}", "", "option"),
        ("--soak-seed=1", OPTION.replace(" ", ""), "env"),
        ("--soak-seed=1", "", "file"),
    ],
)
def test_all_that_users_write_may_begin_with_it(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    variable: str,
    source: str,
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    for name, text in FILES.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(codecs.BOM_UTF8 + text.encode())
    monkeypatch.setenv("SOAK_DEMO_RUNTIME_OVERRIDES_JSON", variable)
    profile = ("--soak-profile=large.toml", "--soak-pack=mine.toml")
    ran = pytester.runpytest("--soak-iterations=2", *profile, option)
    ran.stdout.fnmatch_lines([f"*SOURCE={source} *", "*FIELD=workers FROM=2 TO=3*", "*mine/large*"])


def test_the_tables_in_pyproject_may_follow_it(tmp_path: Path) -> None:
    path = (
        tmp_path / "pyproject.toml"
    )  # pytest itself refuses it, unless told by -c to read another
    path.write_bytes(codecs.BOM_UTF8 + b"[tool.pytest-soak.packs.mine]\nobserve = 3\n")
    assert pack_overlays(path) == {"mine": {"observe": 3}}


def test_a_text_in_another_coding_is_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.path.joinpath("large.toml").write_bytes("workers = 4".encode("utf-16"))
    ran = pytester.runpytest("--soak-iterations=2", "--soak-profile=large.toml")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines(["*large.toml: cannot be read: it is not UTF-8: byte 0xff at 0"])
