"""Create docs/report.svg: the closing report of a real run in an empty folder."""  # noqa: INP001

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COMMAND = ("--soak-iterations=6", "--auto-tune")
TEST = "def test_queue(soak):\n    soak.run()\n"
WIDTH = 80

with tempfile.TemporaryDirectory() as folder:
    Path(folder, "test_queue.py").write_text(TEST, encoding="utf-8")
    run = subprocess.run(  # noqa: S603 - this interpreter's own pytest
        [sys.executable, "-m", "pytest", *COMMAND, "--color=yes"],
        cwd=folder,
        env={"COLUMNS": str(WIDTH), "PATH": "", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )

report = run.stdout.partition("test_queue.py::test_queue\x1b[0m\n")[2].partition("  artifacts")[0]
console = Console(record=True, width=WIDTH, file=io.StringIO())
console.print(Text.from_ansi(f"test_queue.py::test_queue\n{report}"))
svg = console.export_svg(title=f"pytest {' '.join(COMMAND)}", unique_id="report")
svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # nothing from the network
Path(__file__).with_name("report.svg").write_text(svg, encoding="utf-8")
