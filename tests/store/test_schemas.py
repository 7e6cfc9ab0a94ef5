"""Every file of a soak matches its JSON schema, and the schemas reject wrong files."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from pytest_soak.schemas import schema_of
from pytest_soak.store import artifacts as named
from pytest_soak.store.folder import JOURNAL
from pytest_soak.store.journal import Journal
from tests.runs import RUNS, Run
from tests.support import DEMO, chain_folder, read_json, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MARKET = Path(__file__).parents[1] / "soak" / "test_market.py"
SCHEMAS = {
    file.name: json.loads(file.read_text(encoding="utf-8"))
    for file in resources.files("pytest_soak.schemas").iterdir()
    if file.name.endswith(".schema.json")
}


def faults(name: str, data: object) -> list[str]:
    """Return the errors of *data* by the schema of the artifact *name*."""
    return [
        f"{name}: {error.json_path}: {error.message}"
        for error in Draft202012Validator(schema_of(name)).iter_errors(data)
    ]


def artifacts(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and content of every file in *folder*, and of every record of the journal."""
    for path in sorted(folder.rglob("*")):
        if path.name == "journal.jsonl":
            yield from ((path.name, record) for record in records(path.parent))
        elif path.is_file() and not path.name.startswith("."):
            yield path.name, read_json(path)


@pytest.mark.parametrize("name", RUNS)
def test_every_file_of_a_run_is_what_its_schema_says(pytester: pytest.Pytester, name: str) -> None:
    run = RUNS[name]
    pytester.makeconftest(run.conftest)
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=6", "--soak-system=odd", *run.args)
    folder = chain_folder(pytester)
    assert run.sees in (folder / "journal.jsonl").read_text(encoding="utf-8")
    assert read_json(folder / "KPI_GATE.json")["verdict"] == run.verdict
    found = list(artifacts(folder))
    assert {kind for kind, _ in found} >= {named.OVERRIDES, "system_state_6.json", JOURNAL}
    assert [fault for kind, data in found for fault in faults(kind, data)] == []


def test_so_is_every_file_of_the_market_and_of_a_run_broken_off(pytester: pytest.Pytester) -> None:
    text = MARKET.read_text(encoding="utf-8")
    broken_off = "    assert soak.iteration != 4\n"
    pytester.makepyfile(test_market=text + broken_off)
    pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-pack=market-maker", "-x")
    found = list(artifacts(chain_folder(pytester, "test_market")))
    names = [name for name, _ in found]
    assert names.count("journal.jsonl") == 6
    assert "EDGE_REPORT_4.json" in names
    assert "KPI_GATE.json" in names
    assert [fault for name, data in found for fault in faults(name, data)] == []


def test_so_is_the_record_of_a_journal_that_was_torn(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=1")
    path = chain_folder(pytester) / JOURNAL
    run = records(path.parent)[0]["run"]
    with path.open("a", encoding="utf-8") as file:
        file.write('{"torn": ')
    Journal(path, run).close()
    damage = records(path.parent)[-1]
    assert damage["kind"] == "damage_found"
    assert faults(JOURNAL, damage) == []
    assert faults(JOURNAL, {**damage, "bytes": 0})


def test_a_report_of_the_wrong_shape_is_kept_and_its_schema_refuses_it(
    pytester: pytest.Pytester,
) -> None:
    mischief = "report['totals']['error_rate'] = '0'; report['n'] = [1]; del report['iteration']"
    pytester.makeconftest(Run(mischief=mischief).conftest)
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=6", "--soak-system=odd")
    found = [f for name, data in artifacts(chain_folder(pytester)) for f in faults(name, data)]
    assert len(found) == 3
    assert all(fault.startswith("EDGE_REPORT_2.json: $") for fault in found)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_itself_valid(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_schema_belongs_to_an_artifact() -> None:
    schemas = {artifact.schema for artifact in named.TABLE} | {"baseline"}
    assert set(SCHEMAS) == {f"{schema}.schema.json" for schema in schemas}


@pytest.mark.parametrize("name", [Path(one.name.format(12)).name for one in named.TABLE])
def test_every_artifact_has_a_schema(name: str) -> None:
    assert schema_of(name)["title"]


@pytest.mark.parametrize("name", ["EDGE_REPORT_.json", "xKPI_GATE.json", "KPI_GATE.json.tmp", ""])
def test_what_is_no_artifact_has_none(name: str) -> None:
    with pytest.raises(KeyError):
        schema_of(name)


def test_a_definition_that_several_schemas_share_is_the_same_in_all() -> None:
    seen: dict[str, object] = {}
    for schema in SCHEMAS.values():
        for name, definition in schema.get("$defs", {}).items():
            assert seen.setdefault(name, definition) == definition, name
    assert len(seen) > 20


def owned(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every part of *schema* that describes an object by its keys."""
    if "properties" in schema:
        yield schema
    for part in schema.values():
        if isinstance(part, dict):
            yield from owned(part)
        for entry in part if isinstance(part, list) else ():
            if isinstance(entry, dict):
                yield from owned(entry)


@pytest.mark.parametrize("name", sorted(set(SCHEMAS) - {"edge_report.schema.json"}))
def test_no_object_of_ours_has_room_for_what_is_not_described(name: str) -> None:
    schema = SCHEMAS[name]
    kinds = [case["then"]["$ref"].rpartition("/")[2] for case in schema.get("allOf", ())]
    closed = [schema["$defs"][kind] for kind in kinds]  # by the record as a whole
    for part in owned(schema):
        if part in closed or "properties" not in part or part.keys() == {"properties"}:
            continue
        shut = part.get("additionalProperties", part.get("unevaluatedProperties"))
        assert shut is False, part
        assert set(part["required"]) <= set(part["properties"])


@dataclass(frozen=True)
class Broken:
    """A change that makes an artifact invalid, and the place where its schema must find it."""

    name: str
    mischief: Callable[[Any], object]
    where: str = "$"
    kind: str = ""
    """Break a record of the journal."""


def change(*path: str | int, to: object) -> Callable[[Any], object]:
    """Return a function that sets the value at *path*."""

    def changes(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = to

    return changes


BROKEN = (
    Broken("runtime_overrides.json", change("workers", to="4"), "$.workers"),
    Broken("runtime_overrides.json", change("workers", to=True), "$.workers"),
    Broken("runtime_overrides_backup_2.json", change("workers", to=None), "$.workers"),
    Broken("applied_profile.json", lambda data: data.pop("applied")),
    Broken("applied_profile.json", change("note", to="x")),
    Broken(
        "applied_profile.json",
        change("runtime_adjustments", 0, "ts", to="yesterday"),
        "$.runtime_adjustments[0].ts",
    ),
    Broken(
        "applied_profile.json",
        change("runtime_adjustments", 0, "iteration", to=-1),
        "$.runtime_adjustments[0].iteration",
    ),
    Broken("EDGE_REPORT_1.json", change("iteration", to=0), "$.iteration"),
    Broken("EDGE_REPORT_1.json", lambda data: data.pop("totals")),
    Broken("EDGE_REPORT_1.json", change("totals", "error_rate", to="nan"), "$.totals.error_rate"),
    Broken("EDGE_REPORT_1.json", change("n", "error_rate", to=-1), "$.n.error_rate"),
    Broken("EDGE_REPORT_1.json", change("parameters", to=[]), "$.parameters"),
    Broken("ITER_SUMMARY_1.json", change("summary", "verdict", to="GOOD"), "$.summary.verdict"),
    Broken("ITER_SUMMARY_1.json", change("tuning", "applied", to="true"), "$.tuning.applied"),
    Broken("ITER_SUMMARY_1.json", change("tuning", "verified", to="maybe"), "$.tuning.verified"),
    Broken("ITER_SUMMARY_1.json", lambda data: data["tuning"].pop("skip_reason"), "$.tuning"),
    Broken("TUNING_REPORT.json", change("mode", to="on"), "$.mode"),
    Broken("TUNING_REPORT.json", change("rows", 0, "moves", 0, "to", to=None), "$.rows[0].moves"),
    Broken("TUNING_REPORT.json", lambda data: data["rows"][0].pop("verdict"), "$.rows[0]"),
    Broken("KPI_GATE.json", change("verdict", to="OK"), "$.verdict"),
    Broken("KPI_GATE.json", change("window", to=[5, 5]), "$.window"),
    Broken(
        "KPI_GATE.json",
        change("thresholds", "error_rate", "fail", to="0.05"),
        "$.thresholds.error_rate.fail",
    ),
    Broken("KPI_GATE.json", lambda data: data["kpis"]["error_rate"][0].pop("n"), "$.kpis"),
    Broken("journal.jsonl", change("settles", to={"verified": "true"}), "$.settles", "iteration"),
    Broken("journal.jsonl", lambda data: data.pop("unverified"), "$", "run_ended"),
    Broken("journal.jsonl", change("kind", to="end"), "$.kind", "run_ended"),
    Broken("journal.jsonl", change("v", to=1), "$.v", "run_ended"),
    Broken("journal.jsonl", change("prev", to="0"), "$.prev", "run_ended"),
    Broken("journal.jsonl", change("surprise", to=1), "$", "run_started"),
    Broken("journal.jsonl", change("verdict", to="PASS"), "$", "iteration"),
    Broken("journal.jsonl", change("iteration", to=0), "$.iteration", "iteration"),
    Broken("journal.jsonl", lambda data: data.pop("system_state"), "$", "iteration"),
    Broken("journal.jsonl", change("patch", 0, "op", to="copy"), "$.patch[0]", "iteration"),
    Broken("journal.jsonl", change("patch", 0, "value", to="4"), "$.patch[0]", "iteration"),
    Broken(
        "journal.jsonl",
        change("decision", "changes", 0, "note", to="cut"),
        "$.decision.changes[0].note",
        "iteration",
    ),
)


def test_a_broken_artifact_is_refused_where_it_is_broken(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(Run().conftest)
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=6", "--auto-tune", "--soak-system=odd")
    found = list(artifacts(chain_folder(pytester)))
    for broken in BROKEN:
        whole = next(
            data
            for name, data in found
            if name == broken.name and broken.kind in ("", data.get("kind"))
        )
        data = copy.deepcopy(whole)
        broken.mischief(data)
        told = faults(broken.name, data)
        assert any(f.startswith(f"{broken.name}: {broken.where}") for f in told), (broken, told)
    for name, data in found:
        if not name.startswith(("runtime_overrides", "system_state")):
            required = {"iteration", "totals"} if name.startswith("EDGE") else set(data)
            for key in required:
                assert faults(name, {k: v for k, v in data.items() if k != key}), (name, key)
