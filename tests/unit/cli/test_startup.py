from __future__ import annotations

import subprocess
import sys

import pytest

LISTED = "import sys; import {module}; print(*(name.partition('.')[0] for name in sys.modules))"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("crm_core.cli.main", {"quart", "httpx", "pluggy", "tinydb"}),
        ("crm_core.compose", {"quart", "flask", "jinja2", "hypercorn"}),
        ("crm_core.client", {"quart", "pluggy", "tinydb", "cryptography"}),
    ],
)
def test_nobody_pays_for_what_others_need(module: str, absent: set[str]) -> None:
    """A command that serves no page loads no web framework, and the list of commands loads none of their libraries."""
    done = subprocess.run(
        [sys.executable, "-c", LISTED.format(module=module)], capture_output=True, text=True, check=True
    )
    assert not absent & set(done.stdout.split())
