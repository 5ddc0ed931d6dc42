"""Plugins that do not work: named at start, or named in the answer, with nothing used and nothing changed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from contract.box import BRANDING, Box, good, problem, until

IMPORTS = """
from __future__ import annotations
import os
import msgspec
from crm_core.errors import Finding
from crm_core.plugin import hookimpl
from crm_core.plugin.payload import PayloadType
from crm_core.plugin.signature import Presented, SignatureScheme

class Section(msgspec.Struct, forbid_unknown_fields=True):
    word: str | msgspec.UnsetType = msgspec.UNSET

def broken():
    return os.path.exists(os.path.join(os.path.dirname(__file__), "broken"))
"""
VALIDATOR = """
@hookimpl
def crm_validate_payload(section, part, context):
    if broken():
        raise RuntimeError("the secret of the part is " + repr(part))
"""
INTERRUPTS = """
@hookimpl
def crm_validate_payload(section, part, context):
    if broken():
        raise KeyboardInterrupt("the secret of the part is " + repr(part))
"""
SLOW = """
import time

@hookimpl
def crm_validate_payload(section, part, context):
    if broken():
        open(os.path.join(os.path.dirname(__file__), "begun"), "w").close()
        time.sleep(1)
"""
WAITS = """
import time

@hookimpl
def crm_validate_payload(section, part, context):
    while broken():
        time.sleep(0.05)
"""
QUIET = """
import logging.config
import sys

if "pytest" not in sys.modules:  # commands run in the process of the tests, which must not be silenced
    logging.config.dictConfig({"version": 1})
    logging.disable(logging.CRITICAL)
"""
POLICY = """
@hookimpl
def crm_module_policy(named, context):
    if broken():
        raise KeyError("policy")
"""
ANSWERS = """
@hookimpl
def crm_validate_payload(section, part, context):
    return ["no finding"] if broken() else None
"""
TYPE = """
class Talk(PayloadType):
    NAME = "talk"
    SECTION = Section

    def {method}
        if broken():
            raise ValueError("talk")
        return {answer}

@hookimpl
def crm_register_payload_types():
    return [Talk()]
"""
SCHEME = """
class Loud(SignatureScheme):
    NAME = "loud"
    HEADERS = ("x-loud",)
    SIGNS_INSTANCE = False

    def read(self, request):
        {read}
        return Presented(timestamp=int(request.one("x-loud")), nonce=request.body.hex()[-40:])

    def matches(self, request, presented, key):
        {matches}
        return True

    def sign(self, request, key, key_version, timestamp, nonce):
        return {{}}

@hookimpl
def crm_register_signature_schemes():
    return [Loud()]
"""
RAISES = "if broken(): raise IndexError('loud')"
Made = Callable[..., Box]


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """Makes an instance with lone plugin files; ``fix`` and ``spoil`` are a file next to them."""
    boxes: list[Box] = []

    def make(**plugins: str) -> Box:
        files = {f"lone/{name}.py": IMPORTS + text for name, text in plugins.items()}
        box = Box(tmp_path / "instance", settings={"plugins": {"folders": ["lone"]}}, files=files).create_tenants()
        boxes.append(box)
        return box.start()

    yield make
    for box in boxes:
        box.stop()


def spoil(box: Box) -> None:
    """From now on the plugin raises."""
    (box.config / "lone/broken").touch()


def fix(box: Box) -> None:
    """It raises no longer."""
    (box.config / "lone/broken").unlink()


@pytest.mark.parametrize(
    ("plugin", "kind"),
    [
        (VALIDATOR, "branding"),
        (INTERRUPTS, "branding"),
        (POLICY, "branding"),
        (ANSWERS, "branding"),
        (TYPE.format(method="validate(self, part, context):", answer="()"), "talk"),
        (TYPE.format(method="modules(self, part):", answer="()"), "talk"),
        (TYPE.format(method="split(self, data):", answer="{'talk': data}"), "talk"),
        (TYPE.format(method="entitlements(self, part):", answer="None"), "talk"),
    ],
    ids=[
        "validator hook",
        "KeyboardInterrupt",
        "policy hook",
        "hook's answer",
        "validate",
        "modules",
        "split",
        "entitlements",
    ],
)
def test_a_plugin_that_raises_in_a_push_is_named_and_nothing_is_used(made: Made, plugin: str, kind: str) -> None:
    """500 plugin_failed; the log has it as failed; once fixed, the very same request is applied."""
    box = made(trouble=plugin)
    spoil(box)
    body = box.body(kind, {})
    headers: dict[str, str | None] = dict(box.sign(kind, body))
    before = box.health()
    reported = problem(box.push(kind, raw=body, headers=headers), 500, "plugin_failed")
    assert "trouble" in reported["detail"] or reported["plugin"] == kind
    entry = box.entry(reported["request_id"])
    assert (entry["status"], entry["error_code"], entry["signature_result"]) == ("failed", "plugin_failed", "valid")
    after = box.health()
    assert after["sections"] == before["sections"]
    assert after["counts"]["24h"]["failed"] == 1
    assert "secret of the part" not in box.log_text()
    assert "Traceback" not in box.log_text() + str(reported)
    assert "stored section" not in reported["detail"]
    failed = next(line for line in map(json.loads, box.log_text().splitlines()) if line["event"] == "plugin_failed")
    assert (failed["plugin"], failed["hook"]) == (reported["plugin"], reported["hook"])
    place = f" at crm_folder_plugin_{reported['plugin']}:"
    assert place in failed["detail"] or "what it returned is wrong: Finding expected, got str" in failed["detail"]
    fix(box)
    assert good(box.push(kind, raw=body, headers=headers))["status"] == "applied"
    problem(box.push(kind, raw=body, headers=headers), 409, "replayed_nonce")


def test_ctrl_c_in_the_middle_of_a_plugin_ends_the_server_after_its_answer(made: Made) -> None:
    """The plugin is not interrupted: what it was called for is applied and answered, and the server ends with 0."""
    box = made(slow=SLOW)
    spoil(box)
    with ThreadPoolExecutor(1) as pool:
        pushed = pool.submit(box.push, "branding", BRANDING)
        until((box.config / "lone/begun").exists, box.log_text)
        assert box.process is not None
        box.process.send_signal(signal.SIGINT)
        assert good(pushed.result())["status"] == "applied"
    assert box.process.wait(timeout=30) == 0


def test_a_plugin_that_does_not_return_is_named_while_it_lasts(made: Made) -> None:
    """Nothing else answers meanwhile, so the log says which plugin waits, and at which line."""
    box = made(waits=WAITS)
    spoil(box)
    with ThreadPoolExecutor(1) as pool:
        pushed = pool.submit(box.push, "branding", BRANDING)
        until(lambda: '"plugin_blocked"' in box.log_text(), box.log_text)
        assert not pushed.done()
        fix(box)
        assert good(pushed.result())["status"] == "applied"
    (line,) = box.log_text().splitlines()
    named = {
        "plugin": "waits",
        "hook": "crm_validate_payload",
    }
    assert named.items() <= json.loads(line).items()
    assert json.loads(line)["at"].startswith("crm_folder_plugin_waits:")


def test_a_plugin_that_configures_logging_silences_nothing(made: Made) -> None:
    """The server's log is set up after the plugins are loaded, for loggers too that a configuration turned off."""
    box = made(
        quiet=QUIET + VALIDATOR.replace("raise RuntimeError", "sum(range(10_000_000))\n        raise RuntimeError")
    )
    spoil(box)
    problem(box.push("branding", BRANDING), 500, "plugin_failed")
    assert {json.loads(line)["event"] for line in box.log_text().splitlines()} == {"plugin_slow", "plugin_failed"}


def test_what_a_plugin_prints_when_it_is_loaded_is_not_in_the_output_of_a_command(tmp_path: Path) -> None:
    """Programs parse the output."""
    text = "\nprint('imported')\n@hookimpl\ndef crm_register_record_types():\n    print('registered')\n"
    files = {"lone/loud.py": IMPORTS + text}
    box = Box(tmp_path / "instance", settings={"plugins": {"folders": ["lone"]}}, files=files)
    command = [Path(sys.executable).parent / "crm", "plugins", "--json", "--config", box.config]
    done = subprocess.run(command, env=box.environ, capture_output=True, text=True, check=True)
    assert "loud" in [one["name"] for one in json.loads(done.stdout)]
    assert "imported\nregistered\n" in done.stderr


@pytest.mark.parametrize(("read", "matches"), [(RAISES, "pass"), ("pass", RAISES)], ids=["read", "matches"])
def test_a_scheme_that_raises_verifies_nothing(made: Made, read: str, matches: str) -> None:
    """It fails closed, is named and logged; the other schemes go on."""
    box = made(loud=SCHEME.format(read=read, matches=matches))
    spoil(box)
    bare = dict.fromkeys(("Sync-Key-Version", "Sync-Timestamp", "Sync-Nonce", "Sync-Signature"))
    headers = {**bare, "X-Loud": str(int(time.time()))}
    body = box.body("branding", BRANDING)
    reported = problem(box.push("branding", raw=body, headers=headers), 500, "plugin_failed")
    assert reported["plugin"] == "loud"
    entry = box.entry(reported["request_id"])
    assert (entry["status"], entry["scheme"], entry["seq"]) == ("failed", "loud", None)
    box.applied("workspace", {})
    fix(box)
    assert good(box.push("branding", raw=body, headers=headers))["status"] == "applied"


def serve(box: Box) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to end by itself."""
    command = [Path(sys.executable).parent / "crm", "serve", "--config", box.config]
    return subprocess.run(command, env=box.environ, capture_output=True, text=True, timeout=30, check=False)


TALK = TYPE.format(method="modules(self, part):", answer="()")


@pytest.mark.parametrize(
    ("plugins", "said"),
    [
        ({"raises": "raise OSError('no phone')"}, ["plugin raises:", "OSError: no phone"]),
        (
            {"misspelt": "@hookimpl\ndef crm_register_payload_typs():\n    return []"},
            ["plugin misspelt:", "crm_register_payload_typs", "did you mean crm_register_payload_types?"],
        ),
        (
            {"sleepy": "@hookimpl\nasync def crm_validate_payload(section, part, context):\n    return []"},
            ["plugin sleepy:", "crm_validate_payload is async"],
        ),
        (
            {"arguments": "@hookimpl\ndef crm_module_policy(modules):\n    return []"},
            ["plugin arguments:", "modules"],
        ),
        ({"one": TALK, "two": TALK}, ["plugin two:", "talk", "one"]),
        ({"taken": TALK.replace('"talk"', '"branding"')}, ["taken", "branding", "crm_branding"]),
        ({"reserved": TALK.replace('"talk"', '"health"')}, ["plugin reserved:", "health is a reserved name"]),
        ({"crm_branding": TALK}, ["plugin crm_branding:", "another plugin has this name"]),
    ],
    ids=["raises", "misspelt", "async", "arguments", "two of a name", "built-in's name", "reserved", "package's name"],
)
def test_serve_does_not_start_with_a_broken_plugin_and_names_it(
    tmp_path: Path, plugins: dict[str, str], said: list[str]
) -> None:
    """Exit 1 with a sentence; so do crm plugins and crm config check; without a trace."""
    files = {f"lone/{name}.py": IMPORTS + text for name, text in plugins.items()}
    box = Box(tmp_path / "instance", settings={"plugins": {"folders": ["lone"]}}, files=files)
    done = serve(box)
    assert done.returncode == 1
    texts = {"serve": done.stdout + done.stderr}
    texts |= {words: box.crm(*words.split(), code=1) for words in ("plugins", "config check")}
    for words, reported in texts.items():
        assert not [text for text in said if text.removeprefix("plugin ").rstrip(":") not in reported], (
            words,
            reported,
        )
        assert "Traceback" not in reported


def test_config_check_reports_broken_plugins_and_clashes(tmp_path: Path) -> None:
    """All of them in one report."""
    files = {
        f"lone/{name}.py": IMPORTS + text for name, text in {"one": TALK, "two": TALK, "three": "raise OSError"}.items()
    }
    box = Box(tmp_path / "instance", settings={"plugins": {"folders": ["lone"]}}, files=files)
    reported = box.crm("config", "check", code=1)
    assert "plugin two:" in reported
    assert "plugin three:" in reported
    assert "active  payload type: branding" in box.crm("plugins", code=1)  # the others are listed as always


def test_a_broken_plugin_that_is_disabled_stops_nothing(tmp_path: Path) -> None:
    """It is listed as disabled, and was not even imported."""
    files = {"lone/raises.py": "raise OSError('no phone')"}
    settings = {"plugins": {"folders": ["lone"], "disabled": ["raises", "crm_workspace"]}}
    box = Box(tmp_path / "instance", settings=settings, files=files).create_tenants().start()
    try:
        states = {one["name"]: one["state"] for one in good(box.client.get("/-/plugins"))}
        assert (states["raises"], states["crm_workspace"]) == ("disabled", "disabled")
        problem(box.push("workspace", {}), 404, "unknown_payload_type")
        box.applied("branding", BRANDING)
    finally:
        box.stop()


RIGHTS = """
from crm_core.model.entitlements import Entitlements, PlanGrant

class Rights(PayloadType):
    NAME = "rights"
    SECTION = Section

    def entitlements(self, part):
        return Entitlements(plan=PlanGrant("p", "P", ("customers.*",)))

@hookimpl
def crm_register_payload_types():
    return [Rights()]
"""
EMAIL, PASSWORD = "jana@nordwind.example", "seven sailing boats"


def test_a_section_that_its_plugin_no_longer_reads_stops_record_writes_alone(made: Made) -> None:
    """Sign-in, dashboard, account, sync and health work; health, readyz, doctor and crm plugins name the section."""
    box = made(rights=RIGHTS)
    words = ("user", "create", "--tenant", "northwind", "--email", EMAIL, "--role", "super_admin", "--password-stdin")
    box.crm(*words, stdin=PASSWORD + "\n")
    box.applied("rights", {"word": "all"})
    reader = box.bearer("customers:read", "customers:write", "sync:health")
    customers = f"{box.base()}/customers"
    good(box.client.get(customers, headers=reader))
    box.stop()
    plugin = box.config / "lone/rights.py"
    plugin.write_text(plugin.read_text().replace("word: str", "word: int"))
    box.start()
    refused = problem(box.client.post(customers, json={"name": "Ada"}, headers=reader), 403, "module_unavailable")
    assert refused["reason"] == "section_unreadable"
    named = "The plugin rights cannot read the stored section rights, member /word"
    health = box.health()
    assert health["status"] == "degraded"
    assert named in health["reasons"][0]
    fault = {"tenant": "northwind", "section": "rights", "plugin": "rights", "member": "/word"}
    ready = good(box.client.get("/readyz"))
    assert ready["status"] == "degraded"
    assert fault.items() <= ready["sections"][0].items()
    assert named in box.crm("plugins", code=1)
    assert named in box.crm("doctor", "northwind", code=1)
    box.crm("tenant", "show", "northwind")
    root = "/i/eu1/t/northwind"
    page = box.client.get(f"{root}/login")
    csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    form = {"csrf": csrf, "email": EMAIL, "password": PASSWORD, "next": ""}
    signed_in = box.client.post(f"{root}/login", data=form, headers={"Origin": str(box.client.base_url).rstrip("/")})
    assert signed_in.status_code == 303
    for path in ("/", "/account", "/sync", "/subscription"):
        assert box.client.get(root + path).status_code == 200, path
    assert "section_unreadable" not in box.client.get(f"{root}/customers").text
    box.applied("rights", {"word": 1})
    assert box.client.post(customers, json={"name": "Ada"}, headers=reader).status_code == 201
    assert box.health()["status"] == "ok"
