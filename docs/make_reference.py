"""Write the tables of guards in docs/guards.md from the guards' docstrings and settings."""  # noqa: INP001

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_soak.config.builtin import GUARDS
from pytest_soak.config.guards import settings_of
from pytest_soak.packs.check import TYPES, schema_of_tables

PAGE = Path(__file__).with_name("guards.md")
BEGIN, END = "<!-- begin: python docs/make_reference.py -->\n", "<!-- end -->\n"
ENTRIES = {"parameter": "parameters", "metric": "metrics"}


def reference() -> str:
    """Return the tables of the core's guards and their settings."""
    schema = schema_of_tables({guard.name: settings_of(guard.name, guard) for guard in GUARDS})
    fixed = ", ".join(f"`{guard.name}`" for guard in GUARDS if guard.required)
    switch = f"`enabled = false` switches a guard off; these cannot be: {fixed}."
    return "\n".join((*_guards(), "", switch, "", *_settings(schema), ""))


def _guards() -> Iterator[str]:
    yield "| name | what it does |"
    yield "| --- | --- |"
    for guard in GUARDS:
        if guard is GUARDS[-1]:
            yield "| plugins' guards | by name |"
        text = re.sub(r"\s+", " ", inspect.getdoc(guard) or "")
        yield f"| `{guard.name}` | {text} |"


def _settings(schema: Mapping[str, Any]) -> Iterator[str]:
    yield "| setting | what it is | allowed | unless set |"
    yield "| --- | --- | --- | --- |"
    for guard, ref in schema["properties"].items():
        for name, setting in _resolved(ref, schema)["properties"].items():
            if name != "enabled" or not setting["default"]:
                default = json.dumps(setting["default"]).strip('"')
                cells = (setting["description"], _allowed(setting, schema), f"`{default}`")
                yield f"| `{guard}.{name}` | {' | '.join(cells)} |"


def _resolved(setting: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *setting* with the parts of the schema that it refers to."""
    reference = setting.get("$ref", "")
    return {**schema["$defs"][reference.rpartition("/")[2]], **setting} if reference else setting


def _allowed(setting: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return the allowed values of a setting as text."""
    setting = _resolved(setting, schema)
    if "enum" in setting:
        return ", ".join(f"`{word}`" for word in setting["enum"])
    if setting["type"] == "array":
        entry = _resolved(setting["items"], schema)
        return f"a list of {ENTRIES.get(entry.get('names')) or _allowed(entry, schema)}"
    if "propertyNames" in setting:
        each = setting["propertyNames"]["names"]
        return f"for each {each} {_allowed(setting['additionalProperties'], schema)}"
    if "properties" in setting:
        return f"`{{ {', '.join(setting['properties'])} }}`"
    ends = [setting.get(key) for key in ("minimum", "maximum", "exclusiveMinimum")]
    least, most, above = (None if end is None else f"{end:g}" for end in ends)
    words = TYPES[setting["type"]].partition(",")[0]
    if least and most:
        words = f"{least} to {most}"
    elif least or above:
        words += f", {least} or more" if least else f" above {above}"
    unit = setting.get("unit", "")
    return f"{words} {unit}" if unit.isalpha() else words


def rewrite(page: str) -> str:
    """Return *page* with up-to-date tables."""
    head, _, rest = page.partition(BEGIN)
    return f"{head}{BEGIN}{reference()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(rewrite(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
