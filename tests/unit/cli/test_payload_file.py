from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crm_core.cli.payload_file import read_data
from crm_core.errors import SetupError


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("a.yaml", "title: Nordwind\nversion: 007\nopen: no\nday: 2026-11-01\nlimit: 5\n", {
            "title": "Nordwind", "version": "007", "open": "no", "day": "2026-11-01", "limit": 5,
        }),
        ("a.json", '{"title": "Nordwind", "limit": 5}', {"title": "Nordwind", "limit": 5}),
        ("piped", '{"title": "Nordwind"}', {"title": "Nordwind"}),
        ("piped", " {}", {}),
        ("piped", '{title: Nordwind, colors: {primary: "#0b5cad"}}', {
            "title": "Nordwind", "colors": {"primary": "#0b5cad"},
        }),
        ("a.yaml", '{"title": Nordwind}', {"title": "Nordwind"}),
    ],
)  # fmt: skip
def test_what_is_written_is_what_is_sent(tmp_path: Path, name: str, text: str, data: dict[str, Any]) -> None:
    """YAML and JSON, in block and flow form, give the values that a reader sees, regardless of the file's name."""
    (tmp_path / name).write_text(text)
    assert read_data(str(tmp_path / name)) == data


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "{title: Nordwind}"),
        ("piped", '{"title": NaN}'),
        ("piped", '{"title": 1, "title": 2}'),
        ("a.yaml", "title: a\ntitle: b\n"),
        ("a.yaml", "- a\n"),
        ("a.yaml", "title: &a b\n"),
        ("a.yaml", " \n"),
        ("a.json", ""),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(tmp_path: Path, name: str, text: str) -> None:
    """Duplicate members, values that JSON lacks, no object and an empty file are refused with its name."""
    (tmp_path / name).write_text(text)
    with pytest.raises(SetupError, match=name):
        read_data(str(tmp_path / name))
