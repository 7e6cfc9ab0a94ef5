"""Shared helpers: registry, plans and configurations without a pytest run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak import hookspecs
from pytest_soak.config.builtin import CorePlugin
from pytest_soak.config.options import SETTINGS
from pytest_soak.config.plan import ChainPlan, plan_chain
from pytest_soak.config.registry import Registry
from pytest_soak.config.request import Resume, SoakRequest, SourcedValue
from pytest_soak.model.mode import Mode
from pytest_soak.runner.chain import Chain
from pytest_soak.runner.resume import resume_chains, runs_to_resume
from pytest_soak.store.artifacts import rebuild
from pytest_soak.store.files import document
from pytest_soak.store.journal import read_journal
from tests.fuzz.harness import BROKEN, Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pytest_soak.engine.loop import SoakLoop

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "pytest_soak" / "packs" / "demo.toml"
MARKET = ROOT / "plugins/pytest-soak-market/pytest_soak_market/market_maker.toml"
NAME = "test_x.py::test_x"
SESSION = "20260101T000000Z-0123ab"


def registry(*plugins: object) -> Registry:
    """Return a registry with the core's strategies and *plugins*."""
    manager = pytest.PytestPluginManager()
    manager.add_hookspecs(hookspecs)
    for plugin in (CorePlugin(), *plugins):
        manager.register(plugin)
    return Registry(manager)


@cache
def core() -> Registry:
    """Return a registry with the core's strategies only."""
    return registry()


def asked(
    folder: Path,
    pack: Path = DEMO,
    *,
    iterations: int = 6,
    mode: Mode = Mode.APPLY,
    session: str = SESSION,
    resume: Resume = Resume.NO,
    **options: object,
) -> SoakRequest:
    """Return a request to soak *pack*; *options* are settings of the command line."""
    given = {name: SourcedValue(value, f"--soak-{name}") for name, value in options.items()}
    given["pack"] = SourcedValue(str(pack), "--soak-pack")
    given.setdefault("system", SourcedValue("mock", "--soak-system"))
    return SoakRequest(iterations, mode, session, folder, given, resume=resume)


def planned(
    request: SoakRequest, offers: Registry | None = None, *, own: bool = False
) -> ChainPlan:
    """Return the plan of a chain of *request*; with a system of its test's *own*."""
    plan = plan_chain(NAME, request, {}, offers or core(), {})
    if own:
        plan = replace(plan, system=None, system_name="fixture").identified(request.session)
    return plan


def resumed(request: SoakRequest, *, own: bool = False) -> Chain:
    """Return the chain of *request*, and what it is to do with the runs in the soak's folder."""
    unfinished, ended = runs_to_resume(request.folder)
    chain = Chain(NAME, plan=planned(request, own=own))
    resume_chains([chain], replace(request, unfinished=unfinished, ended=ended))
    return chain


@dataclass
class FakeConfig:
    """The part of pytest's configuration that reading options needs."""

    rootpath: Path
    options: Mapping[str, object] = field(default_factory=dict)
    inis: Mapping[str, object] = field(default_factory=dict)

    @property
    def inipath(self) -> Path:
        return self.rootpath / "pytest.ini"

    @property
    def invocation_params(self) -> Any:
        return SimpleNamespace(dir=self.rootpath, args=())

    def getoption(self, name: str, default: object = None) -> object:
        return self.options.get(name, default)

    def getini(self, name: str) -> object:
        many = any(setting.ini == name and setting.many for setting in SETTINGS)
        return self.inis.get(name, [] if many else "")


def projections(loop: SoakLoop, spare: Collection[str] = ()) -> None:
    """Check that the journal can be read, and that every file agrees with it.

    Args:
        loop: The chain, closed.
        spare: The files that may lie about, though the journal knows nothing of them.

    Raises:
        Finding: A file differs, is missing, or is one that the journal knows nothing of.
    """
    folder = loop.store.folder
    told = {
        name: document(content) for name, content in rebuild(read_journal(loop.store.journal.path))
    }
    there = {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in folder.rglob("*.json")
        if not path.name.startswith("system_state_") and path.relative_to(folder).parts[0] != "runs"
    }
    known = {*told, *there} - ({*spare} - {*told})
    wrong = [name for name in sorted(known) if told.get(name) != there.get(name)]
    if wrong:
        raise Finding(BROKEN, f"not what the journal says: {wrong}")


def records(folder: Path) -> Sequence[dict[str, Any]]:
    """Return the records in the journal in *folder*, unchecked."""
    lines = (folder / "journal.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]
