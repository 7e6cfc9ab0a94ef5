"""What several tests of the runner compare with."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.two_chains import CHAINS, TUNED, TWO, found_in


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the artifacts of both chains of TWO, tuned, where no other plugin is loaded."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_two.py").write_text(TWO)
    command = [sys.executable, "-m", "pytest", "-p", "pytest_soak.plugin", "-p", "syrupy"]
    environ = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    subprocess.run(
        [*command, *TUNED],
        cwd=folder,
        env=environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=True,
        capture_output=True,
    )
    return {name: found_in(folder / "artifacts" / "soak", name) for name in CHAINS}
