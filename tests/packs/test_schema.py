"""The JSON schema of a pack, for editors, and the docs that list its keys."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_soak.packs import document

ROOT = Path(__file__).parents[2]
PACKS = [
    *ROOT.glob("fixtures/*.toml"),
    ROOT / "examples" / "web_service" / "web_service.toml",
    Path(str(resources.files("pytest_soak.packs").joinpath("demo.toml"))),
]
PAGES = {
    "packs.md": ("Head", "ParameterTable", "MetricTable", "RuleTable", "TunerTable", "Document"),
    "command.md": ("CommandTable",),
    "http.md": ("HttpTable", "MeasureTable"),
}


@pytest.fixture(scope="module")
def schema() -> Any:
    command = [sys.executable, "-m", "pytest_soak", "schema"]
    ran = subprocess.run(command, capture_output=True, check=True, text=True)
    return json.loads(ran.stdout)


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.name)
def test_the_schema_that_is_printed_takes_every_pack_we_ship(schema: Any, path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(path.read_text("utf-8")), schema)


@pytest.mark.parametrize(
    "wrong",
    [
        {"paramters": {}},
        {"parameters": {"pool": {"limits": [1]}}},
        {"kpis": {"x": {"fail": "200"}}},
        {"http": {"metrics": {"x": {"quantile": 2}}}},
        {"guards": {"cooldwn": {"iterations": 3}}},
        {"guards": {"cooldown": {"iteration": 3}}},
    ],
)
def test_the_schema_refuses_what_the_check_refuses(schema: Any, wrong: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


GUARDS = """
from dataclasses import dataclass

class Rest:
    @dataclass(frozen=True)
    class Settings:
        iterations: int = 3

    def review(self, history, decision, settings):
        return decision

def pytest_soak_guards():
    return {"rest": lambda pack: Rest(), "other": lambda pack: Rest(pack.parameters["pool"])}
"""


def test_the_schema_has_the_keys_of_guards_whose_factory_is_a_function(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(GUARDS)
    ran = pytester.run(sys.executable, "-m", "pytest_soak", "schema")
    schema = json.loads(ran.stdout.str())
    any_of_another_pack = {"rest": {"iterations": 1, "enabled": False}, "other": {"any": 1}}
    jsonschema.validate({"guards": any_of_another_pack}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"guards": {"rest": {"iteration": 1}}}, schema)


@pytest.mark.parametrize(("page", "tables"), PAGES.items())
def test_the_docs_have_every_key(page: str, tables: tuple[str, ...]) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    for table in tables:
        for entry in fields(getattr(document, table)):
            name = entry.name
            assert any(f"{start}{name}" in text for start in "`[. "), (page, table, name)
