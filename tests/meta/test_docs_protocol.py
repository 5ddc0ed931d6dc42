from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
import pytest

from crm_core.errors import SecretRequired
from crm_core.model.log import Head, LogEntry, LoggedFinding, SignatureResult, Status, link
from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import build_registry
from crm_core.sync.apply import Receipt
from crm_core.sync.checks import Check
from crm_core.sync.log import FILTERS
from doc_pages import blocks, environment, page, run_page, section
from free_ports import free_port

PAGE = page("docs/protocol.md")
ERRORS = page("docs/errors.md")
CODES = re.compile(r"[0-9]{3} `([a-z_]+)`")

# The key that the page's reader has from the admin, and the page's Python example as a last step.
BEFORE = """
export CRM_SECRET_KEY="$(crm keys generate)"
crm init --instance eu1 --tenant northwind > /dev/null
sed -i "s/127.0.0.1:8000/127.0.0.1:$PORT/" config/instance.yaml
B64=$(sed -n 's/.*base64:\\([A-Za-z0-9+/=]*\\).*/\\1/p' config/keys.yaml | tail -n 1)
SERVER=http://127.0.0.1:$PORT
crm serve > serve.out 2> serve.err & server=$!
trap 'kill "$server"; wait "$server"' EXIT
for _ in $(seq 600); do grep -q serves serve.out && break; kill -0 "$server"; sleep 0.1; done
export SERVER TOKEN=$(crm token create --tenant northwind --scope sync:read --scope sync:health --scope sync:admin)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_examples_integrate_from_nothing(tmp_path: Path) -> None:
    """The page's commands push, read health, log and history; its Python example then verifies the chain."""
    (example,) = blocks("docs/protocol.md", "python")
    (tmp_path / "verify.py").write_text(example.text)
    after = f'\necho\n"{sys.executable}" verify.py\n'
    reported = run_page(
        "docs/protocol.md",
        tmp_path,
        port := free_port(),
        before=BEFORE,
        after=after,
        PORT=str(port),
    )
    assert '"status":"applied"' in reported
    assert '"pointer":"/branding/title","from":null,"to":"Nordwind"' in reported
    assert '"expected_key":"northwind:1"' in reported
    assert re.fullmatch(r"2 entries hold; head 2:[0-9a-f]{64}", reported.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_edited_log_breaks_the_example(tmp_path: Path) -> None:
    """The verifying example is no decoration: it refuses entries of which one was changed."""
    (example,) = blocks("docs/protocol.md", "python")
    fetching = example.text.index("address = ")
    checking = example.text.index("expected, seq = ")
    first = link(_entry("a"), Head())
    refused = msgspec.structs.replace(_entry("b"), errors=(LoggedFinding("/data/title", "wrong_type", "Send text."),))
    second = link(refused, Head(1, first.entry_hash or ""))
    good = [msgspec.to_builtins(one) for one in (first, second)]
    edited = [{**good[0], "status": "rejected"}, good[1]]
    for entries, code in ((good, 0), (edited, 1), (good[1:], 1)):
        script = f"{example.text[:fetching]}entries = json.loads({json.dumps(entries)!r})\n{example.text[checking:]}"
        done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, check=False)
        assert done.returncode == code, done.stderr


def _entry(name: str) -> LogEntry:
    return LogEntry(
        id=name,
        received_at="2026-11-24T00:00:00Z",
        instance="eu1",
        tenant="northwind",
        status="applied",
        signature_result="valid",
        request_id=name,
        error_message="Umlaut ü, \u2028 and \U0001f600",
    )


def test_the_table_of_checks_has_the_codes_of_the_errors_page_in_its_order() -> None:
    """Both pages list the refusals of a push; neither knows one that the other does not."""
    rows = [line for line in section(PAGE, "The checks").splitlines() if line.startswith("|")]
    checks = dict.fromkeys(CODES.findall("\n".join(rows)))
    listed = re.findall(r"^\| `([a-z_]+)` \|", section(ERRORS, "A push"), re.MULTILINE)
    elsewhere = ["request_timeout", "storage_unavailable", "storage_full"]
    assert [code for code in checks if code not in elsewhere] == [code for code in listed if code != "rate_limited"]


def test_the_table_of_checks_is_the_receivers() -> None:
    """Each row has a check's number and title, and status and code of each error that it refuses with."""
    rows = [line for line in section(PAGE, "The checks").splitlines() if line.startswith("|")]
    assert rows[2:] == [_row(check) for check in Check]


def _row(check: Check) -> str:
    codes = {error.code: f"{error.status} `{error.code}`" for error in check.errors}
    if SecretRequired.code in codes:  # its code is made from the member: the page has that of a built-in section
        codes[SecretRequired.code] = "422 `password_required`"
    return f"| {check.number} | {check.title} | {', '.join(codes.values())} |"


def test_every_member_of_answer_and_log_is_explained() -> None:
    """The tables of the page name each member of a receipt, of a log entry, and each filter."""
    answer, log = section(PAGE, "The response"), section(PAGE, "The sync log")
    assert [name for name in Receipt.__struct_fields__ if f"`{name}`" not in answer] == []
    assert [name for name in LogEntry.__struct_fields__ if f"`{name}`" not in log] == []
    assert [name for name in FILTERS if f"`{name}`" not in log] == []
    for choices in (Status, SignatureResult):
        assert [name for name in choices.__args__ if f"`{name}`" not in log] == []


def test_every_built_in_payload_type_and_member_is_named() -> None:
    """The table of payload types names each type, and each member of its section."""
    host = PluginHost()
    ours = [point for point in entry_points(group="crm") if point.dist and point.dist.name == "crm-core"]
    host.load_entry_points(ours)
    table = section(PAGE, "Payload types")
    for name, payload_type in build_registry(host).payload_types.items():
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{name}` |")]
        members = payload_type.SECTION.__struct_encode_fields__ if payload_type.SECTION else ()
        assert [member for member in members if f"`{member}`" not in row] == []
