"""Common mistakes in keys.yaml are reported together, each with its place and fix."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from contract.box import Box

TEN = """\
tenants:
  northwind:
    sync: enabled
    colour: red
    keys:
      - version: 1
        secret: hex:0101010101010101010101010101010101010101010101010101010101010101
      - version: 1
        secret: hex:0202020202020202020202020202020202020202020202020202020202020202
      - version: 3
        secret: base64:c2hvcnQ=
      - version: 4
        secret: env:NOT_SET_ANYWHERE
      - version: 5
        secret: hex:0505050505050505050505050505050505050505050505050505050505050505
        not_before: 2026-13-01T00:00:00Z
      - version: 6
        secret: hex:0606060606060606060606060606060606060606060606060606060606060606
        not_before: 2026-12-01T00:00:00Z
        not_after: 2026-11-01T00:00:00Z
      - version: "7"
        secret: hex:0707070707070707070707070707070707070707070707070707070707070707
      - version: 8
        secret: hex:0808080808080808080808080808080808080808080808080808080808080808
        types: [features, brandign]
  contoso:
    keys:
      - version: 1
        secret: hex:0101010101010101010101010101010101010101010101010101010101010101
  northwind:
    keys: []
"""
PLACES = {
    "unknown member": (4, 5, "colour"),
    "duplicate key version": (8, 18, "version"),
    "secret too short": (11, 17, "too short, 5 bytes"),
    "unset env reference": (13, 17, "NOT_SET_ANYWHERE"),
    "bad date": (16, 21, "time"),
    "not_after before not_before": (20, 20, "not_before"),
    "version as text": (21, 18, "whole number"),
    "unknown payload type in types": (25, 27, "branding"),
    "two tenants with one secret": (29, 17, "line 7"),
    "duplicate tenant": (30, 3, "northwind"),
}

LAMP = """
import msgspec
from crm_core.plugin.payload import PayloadType
from crm_core.plugin import hookimpl


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    watts: int = 60


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Lamp(PayloadType):
    NAME = "lamp"
    SECTION = Section
    OPTIONS = Options


@hookimpl
def crm_register_payload_types():
    return [Lamp()]
"""


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """The files of an instance."""
    return Box(tmp_path / "instance")


def problems(box: Box, roster: str) -> list[tuple[int, int, str]]:
    """What crm config check says of a roster: line, column, sentence."""
    (box.config / "keys.yaml").write_text(roster)
    output = box.crm("config", "check", code=1)
    found = [re.fullmatch(r"keys\.yaml:(\d+):(\d+): (.+; .+)", line) for line in output.splitlines()]
    assert all(found), output
    return [(int(match[1]), int(match[2]), match[3]) for match in found if match]


def test_ten_mistakes_are_all_named_with_line_and_column(box: Box) -> None:
    """Each is one line that says how to fix it, and there are no others."""
    lines = problems(box, TEN)
    by_place = {(line, column): sentence for line, column, sentence in lines}
    missing = {what: place for what, place in PLACES.items() if place[:2] not in by_place}
    assert not missing, lines
    assert not [what for what, (line, column, word) in PLACES.items() if word not in by_place[line, column]], lines
    assert len(lines) == len(PLACES), lines


@pytest.mark.parametrize(
    ("roster", "line", "column", "word"),
    [
        ("tenants:\n\tnorthwind: {}\n", 2, 1, "tab"),
        ("tenants:\n  a: &x {keys: []}\n", 2, 6, "anchor"),
        ("tenants:\n  a: &x {keys: []}\n  b: *x\n", 2, 6, "anchor"),
        ("tenants:\n  a: !secret {keys: []}\n", 2, 6, "tag"),
        ("tenants: {a: {keys: [{version: 1, secret: plain-text-of-more-than-thirty-two-bytes}]}}\n", 1, 43, "env:"),
        ("tenants: {a: {kesy: []}}\n", 1, 15, "did you mean `keys`?"),
        ("tenants: {a: {keys: [], sync: yes}}\n", 1, 31, "enabled"),
        ("tenants: {a: {keys: [], schemes: [crm-sync-v2]}}\n", 1, 35, "crm-sync-v1"),
        ("tenants: {A: {keys: []}}\n", 1, 11, "a-z"),
        ("tenants: {a: {keys: [{version: 1}]}}\n", 1, 22, "secret"),
        ("tenant: {}\n", 1, 1, "did you mean `tenants`?"),
    ],
)
def test_a_mistake_is_reported_with_its_place(box: Box, roster: str, line: int, column: int, word: str) -> None:
    """With a hint that names what is meant."""
    lines = problems(box, roster)
    assert (line, column) in {place[:2] for place in lines}, lines
    assert word in " ".join(sentence for _, _, sentence in lines), lines


def test_at_start_a_mistake_is_an_exit_and_other_commands_go_on(box: Box) -> None:
    """A server needs the roster; a token needs none."""
    box.create_tenants()
    (box.config / "keys.yaml").write_text(TEN)
    serve = [Path(sys.executable).parent / "crm", "serve", "--config", box.config]
    done = subprocess.run(serve, env=box.environ, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "keys.yaml:4:5:" in done.stderr
    assert box.bearer("sync:read")
    box.crm("tenant", "list")
    box.crm("log", "list", "--tenant", "northwind")


def test_a_tenant_without_a_store_is_a_warning(box: Box) -> None:
    """The server starts; the wire says 404."""
    box.start()
    try:
        assert "northwind" in box.log_text()
        answer = box.push("branding", {})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_tenant")
    finally:
        box.stop()


def test_every_mistake_in_instance_yaml_is_named_in_one_run(box: Box) -> None:
    """Those in the members of the core, in the options of plugins, and the names of no plugin."""
    settings = (box.config / "instance.yaml").read_text() + (
        "watts: 40\n"
        "public_url: crm.example.com\n"
        "smtp:\n"
        "  ports: [0]\n"
        "  helo_name: crm\n"
        "  host: mail.example.com\n"
        "allowed_origins: ['https://app.example.com:65536']\n"
    )
    (box.config / "instance.yaml").write_text(settings)
    first = settings.splitlines().index("watts: 40") + 1
    lines = box.crm("config", "check", code=1).splitlines()
    host = "this must be a full host name, or an address in brackets such as [192.0.2.1]"
    assert [line.partition(";")[0].split(": ", 1) for line in lines] == [
        [f"instance.yaml:{first}:1", "unknown member `watts`"],
        [f"instance.yaml:{first + 1}:13", "`crm.example.com` is not an origin"],
        [f"instance.yaml:{first + 3}:11", "this must be a port from 1 to 65535"],
        [f"instance.yaml:{first + 4}:14", host],
        [f"instance.yaml:{first + 5}:3", "unknown member `host`"],
        [f"instance.yaml:{first + 6}:19", "`https://app.example.com:65536` is not an origin"],
    ]
    assert all("; " in line for line in lines), lines


def test_a_broken_file_never_makes_a_stranger_of_a_plugin_in_a_folder(box: Box) -> None:
    """Options of its payload type stay known while another member is wrong."""
    (box.config / "extra").mkdir()
    (box.config / "extra/lamp.py").write_text(LAMP)
    text = (box.config / "instance.yaml").read_text()
    (box.config / "instance.yaml").write_text(
        f"{text}plugins: {{folders: [extra]}}\nlamp: {{watts: 40}}\npublic_url: x\n"
    )
    lines = box.crm("config", "check", code=1).splitlines()
    assert [line.partition(" is")[0].split(": ", 1)[1] for line in lines] == ["`x`"], lines


@pytest.mark.parametrize(
    ("option", "sentence"),
    [("pool: 1", "unknown option pool; tinydb has only max_open"), ("max_open: 0", "max_open must be a whole number")],
)
def test_a_mistake_in_the_options_of_the_storage_has_its_place(box: Box, option: str, sentence: str) -> None:
    """Backends judge their options when they open; the file and line are added."""
    text = (box.config / "instance.yaml").read_text()
    line = len(text.splitlines()) + 1
    (box.config / "instance.yaml").write_text(f"{text}storage: {{backend: tinydb, {option}}}\n")
    assert box.crm("config", "check", code=1).startswith(f"instance.yaml:{line}:20: {sentence}")
