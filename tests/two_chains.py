"""Two chains that pass where they are tuned, and what tests ask of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support import artifacts, chain_folder, read_json

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TWO = """
import pytest

@pytest.mark.parametrize("x", ["red", "blue"])
def test_demo(soak, x):
    soak.run()
"""

TUNED = ("--soak-iterations=5", "--auto-tune")
UNTUNED = ("--soak-iterations=5",)
CHAINS = ("test_demo-red", "test_demo-blue")


def found_in(soak_dir: Path, name: str) -> dict[str, Any]:
    (folder,) = soak_dir.glob(f"{name}-*")
    return artifacts(folder)


def both(pytester: pytest.Pytester) -> dict[str, Any]:
    return {name: found_in(pytester.path / "artifacts" / "soak", name) for name in CHAINS}


def verdict(pytester: pytest.Pytester, name: str = "test_demo") -> str:
    word = read_json(chain_folder(pytester, name) / "KPI_GATE.json")["verdict"]
    assert isinstance(word, str)
    return word
