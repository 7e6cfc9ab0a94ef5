"""`python -m pytest_soak` is `pytest-soak`."""

from __future__ import annotations

import sys

from pytest_soak.commands.cli import main

sys.exit(main())
