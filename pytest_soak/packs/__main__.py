"""``python -m pytest_soak.packs``: print the JSON schema of a pack, for editors."""

from __future__ import annotations

import json
import sys

from pytest_soak.packs.check import schema_of
from pytest_soak.packs.document import Document

sys.stdout.write(f"{json.dumps(schema_of(Document), indent=2)}\n")
