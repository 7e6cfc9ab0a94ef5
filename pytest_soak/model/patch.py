"""RFC 6902 patches between two flat sets of overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import jsonpatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Operation: TypeAlias = dict[str, Any]
"""One RFC 6902 operation, such as ``{"op": "replace", "path": "/workers", "value": 4}``."""

PATCH_ERRORS: tuple[type[Exception], ...] = (
    jsonpatch.JsonPatchException,
    jsonpatch.JsonPointerException,
    TypeError,  # of a pointer into a number
)
"""The errors of `apply` if a patch does not fit."""


def diff(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[Operation, ...]:
    """Return the patch that turns *before* into *after*, in the order of the paths."""
    operations = jsonpatch.make_patch(
        dict(sorted(before.items())), dict(sorted(after.items()))
    ).patch
    return tuple(sorted(operations, key=lambda operation: str(operation["path"])))


def guarded(patch: Iterable[Operation], before: Mapping[str, float]) -> tuple[Operation, ...]:
    """Return *patch* with a ``test`` of each old value first, so that it fits only *before*.

    Without the old values a patch cannot be inverted, and it would also apply to a wrong document.
    ``test`` is RFC 6902, section 4.6.
    """
    operations = list(patch)
    touched = {op[key] for op in operations for key in ("path", "from") if key in op}
    tests = [
        {"op": "test", "path": f"/{field}", "value": before[field]}
        for field in sorted(before)
        if f"/{field}" in touched
    ]
    return (*tests, *operations)


def apply(document: Mapping[str, float], patch: Iterable[Operation]) -> dict[str, float]:
    """Return *document* with *patch* applied.

    Raises:
        PATCH_ERRORS: An operation does not fit the document.
    """
    patched: dict[str, float] = jsonpatch.apply_patch(dict(document), list(patch))
    return patched
