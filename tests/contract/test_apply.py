"""``crm apply``: a folder of many tenants, what is sent of it, and how the command ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from contract.box import BRANDING, PASSWORD, SMTP, Box, good, roster_key
from contract.conftest import Boxes

FLEET = ("acme", "broken", "gone", "guarded", "locked", "same")
TENANTS = (*FLEET, "drifting", "mailing", "planned")
REFERENCE = {"secret": "env:MAIL_PASSWORD"}
MAIL = {**SMTP, "password": REFERENCE}


class Front:
    """A front before the instance that closes the connection of each request to a tenant in ``unreachable``."""

    def __init__(self, box: Box) -> None:
        self.unreachable: set[str] = set()
        front, behind = self, str(box.client.base_url)

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.path.split("/")[4] in front.unreachable:
                    self.connection.close()
                    return
                answer = httpx.request(self.command, behind + self.path, content=body, headers=dict(self.headers))
                self.send_response(answer.status_code)
                for name in ("content-type", "content-length"):
                    self.send_header(name, answer.headers[name])
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = answer  # noqa: N815 -- the names that http.server calls

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/i/eu1"
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance with the tenants, all with a mail password."""
    box = boxes(
        tenants={name: {"keys": [roster_key(name, 1)]} for name in TENANTS}, environ={"MAIL_PASSWORD": PASSWORD}
    )
    for name in TENANTS:
        box.applied("smtp", SMTP, tenant=name, key_version=1)
    return box


@pytest.fixture(scope="module")
def front(box: Box) -> Iterator[Front]:
    made = Front(box)
    yield made
    made.stop()


class Folder:
    """A folder to apply, and the command that a platform runs on it."""

    def __init__(self, path: Path, box: Box, front: Front) -> None:
        self.path, self.box, self.front = path, box, front
        path.mkdir()

    def write(self, tenant: str, **sections: Any) -> None:
        """The files of a tenant, one for each section; None removes one."""
        (self.path / tenant).mkdir(exist_ok=True)
        for name, data in sections.items():
            file = self.path / tenant / f"{name}.yaml"
            file.unlink() if data is None else file.write_text(yaml.safe_dump(data))

    def apply(self, *words: str, code: int = 0) -> str:
        return self.box.crm("apply", str(self.path), "--url", self.front.url, *words, code=code)

    def results(self, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
        """The lines of --json, by tenant, in the order of their names."""
        lines = [json.loads(line) for line in self.apply(*words, "--json", code=code).splitlines() if line[0] == "{"]
        assert [line["tenant"] for line in lines] == sorted(line["tenant"] for line in lines)
        assert all(line.keys() == {"tenant", "status", "revision", "changes", "problem"} for line in lines)
        return {line["tenant"]: line for line in lines}


@pytest.fixture
def folder(tmp_path: Path, box: Box, front: Front) -> Folder:
    return Folder(tmp_path / "fleet", box, front)


def attempts(box: Box, tenant: str) -> int:
    """How many verified attempts the log of a tenant has."""
    seq: int = box.health(tenant)["log_head"]["seq"]
    return seq


def test_a_fleet_with_troubles_and_the_run_after(folder: Folder, box: Box, front: Front) -> None:
    """Each tenant ends by itself: refused, withheld, unanswered, applied, unchanged; a second run does the rest."""
    for tenant in FLEET:
        folder.write(tenant, branding=BRANDING, smtp=MAIL, workspace={"locale": "de-DE"})
    folder.write("broken", branding={"colors": {"primary": "red"}})
    folder.write("guarded", smtp={name: value for name, value in SMTP.items() if name != "password"})
    folder.write("same", branding=None, workspace=None)
    box.roster["locked"] = {"keys": [roster_key("locked", 1) | {"secret": "hex:" + "ab" * 32}]}
    sound, served = box.config / "keys.yaml", box.config
    box.config = box.folder / "platform"  # where the key of one tenant is wrong
    box.config.mkdir()
    (box.config / "instance.yaml").write_text((served / "instance.yaml").read_text())
    box.write_roster()
    front.unreachable = {"gone"}
    unchanged = attempts_of(box, served, "same")
    try:
        found = folder.results(code=1)
        text = folder.apply("--plan", "--only", "broken", "--only", "locked", "--only", "guarded", code=1)
    finally:
        box.config = served
    assert {name: one["status"] for name, one in found.items()} == {
        "acme": "applied", "broken": "refused", "gone": "unanswered", "guarded": "refused", "locked": "refused",
        "same": "unchanged",
    }  # fmt: skip
    assert found["acme"]["revision"] == box.bootstrap("acme")["last_sync"]["revision"]
    assert {change["pointer"].split("/")[1] for change in found["acme"]["changes"]} == {"branding", "workspace"}
    assert found["broken"]["problem"]["errors"][0]["pointer"] == "/data/branding/colors/primary"
    assert found["locked"]["problem"]["code"] == "signature_invalid"
    assert found["gone"]["problem"]["code"] == "unanswered"
    assert [each["pointer"] for each in found["guarded"]["problem"]["errors"]] == ["/smtp/password"]
    assert {change["pointer"].split("/")[1] for change in found["guarded"]["changes"]} == {"branding", "workspace"}
    assert box.health("guarded")["sections"].keys() == {"branding", "smtp", "workspace"}
    assert attempts(box, "same") == unchanged
    for words in ("--drop-secrets", "crm keys list", "/data/branding/colors/primary", "3 tenants: 3 refused"):
        assert words in text

    front.unreachable = set()
    folder.write("broken", branding=BRANDING)
    assert sound.exists()
    again = folder.results("--drop-secrets")
    assert {name: one["status"] for name, one in again.items()} == {
        "acme": "unchanged", "broken": "applied", "gone": "applied", "guarded": "applied", "locked": "applied",
        "same": "unchanged",
    }  # fmt: skip
    assert [change["pointer"] for change in again["guarded"]["changes"]] == ["/smtp/password"]
    assert set(folder.results("--plan")) == set(FLEET)


def attempts_of(box: Box, config: Path, tenant: str) -> int:
    """``attempts`` with the instance's own config folder."""
    other, box.config = box.config, config
    try:
        return attempts(box, tenant)
    finally:
        box.config = other


def test_a_plan_changes_nothing_and_exits_3(folder: Folder, box: Box) -> None:
    """It shows the diff of each tenant; the same diff is applied afterwards, and a plan then finds nothing."""
    folder.write("planned", branding={"title": "Before"})
    folder.apply()
    folder.write("planned", branding={"title": "Planned"}, workspace={"locale": "de-DE"})
    before = box.health("planned")["sections"]
    planned = folder.results("--plan", code=3)["planned"]
    assert (planned["status"], planned["revision"], planned["problem"]) == ("previewed", None, None)
    text = folder.apply("--plan", code=3)
    assert '"Planned"' in text
    assert text.endswith("1 tenant: 1 previewed\n")
    assert box.health("planned")["sections"] == before
    applied = folder.results()["planned"]
    assert (applied["status"], applied["changes"]) == ("applied", planned["changes"])
    assert box.health("planned")["sections"]["branding"]["version"] == before["branding"]["min_version"]
    folder.apply("--plan")


def test_a_secret_is_sent_if_its_section_differs_or_on_request(folder: Folder, box: Box) -> None:
    """Equal hashes leave a section out, since a secret counts as set; --with-secrets sends it."""
    folder.write("mailing", smtp={**MAIL, "from_name": "Acme"})
    assert folder.results()["mailing"]["changes"][-1]["pointer"] == "/smtp/password"
    assert folder.results()["mailing"]["status"] == "unchanged"
    sent = folder.results("--with-secrets")["mailing"]
    set_again = {"pointer": "/smtp/password", "from": {"set": True}, "to": {"set": True}}
    assert (sent["status"], sent["changes"]) == ("applied", [set_again])
    folder.results("--with-secrets", "--plan", code=3)
    assert PASSWORD not in folder.apply("--with-secrets")


def test_a_tenant_whose_files_or_keys_cannot_be_used_fails_alone(folder: Folder, box: Box) -> None:
    """A broken file, an unset variable and a tenant without a key are one failure each; exit 1."""
    folder.write("same", smtp=MAIL)
    folder.write("broken", branding={})
    (folder.path / "broken" / "branding.yaml").write_text("title: [\n")
    folder.write("gone", smtp={**SMTP, "from_name": "Gone", "password": {"secret": "env:NOT_SET_HERE"}})
    folder.write("keyless", branding=BRANDING)
    found = folder.results(code=1)
    assert {name: one["status"] for name, one in found.items()} == {
        "broken": "failed", "gone": "failed", "keyless": "failed", "same": "unchanged",
    }  # fmt: skip
    assert "NOT_SET_HERE" in found["gone"]["problem"]["detail"]
    assert "no entry for keyless" in found["keyless"]["problem"]["detail"]
    assert folder.results("--only", "same").keys() == {"same"}
    folder.apply("--only", "unknown", code=2)


def test_a_secret_that_is_not_sent_need_not_be_here(folder: Folder) -> None:
    """A machine that plans needs no password of a section that stays as it is; one that changes needs it."""
    unset = {"secret": "env:NOT_SET_HERE"}
    folder.write("same", smtp={**SMTP, "password": unset})
    assert folder.results("--plan")["same"]["status"] == "unchanged"
    folder.write("same", smtp={**SMTP, "password": unset, "from_name": "Other"})
    failed = folder.results("--plan", code=1)["same"]
    assert (failed["status"], failed["changes"]) == ("failed", [])
    assert "/smtp/password" in failed["problem"]["detail"]


def test_a_key_that_is_not_here_fails_its_tenant_alone(
    folder: Folder, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine may have the keys of some tenants only: the others are brought to their state, and it is named."""
    keys = folder.path.parent / "config" / "keys.yaml"
    keys.parent.mkdir()
    roster = {name: {"keys": [roster_key(name, 1)]} for name in ("gone", "same")}
    roster["gone"]["keys"][0]["secret"] = "env:NOT_SET_HERE"
    keys.write_text(yaml.safe_dump({"tenants": roster}))
    folder.write("same", smtp=MAIL)
    folder.write("gone", smtp=MAIL)
    monkeypatch.setattr(box, "config", keys.parent)
    found = folder.results(code=1)
    assert {name: one["status"] for name, one in found.items()} == {"gone": "failed", "same": "unchanged"}
    assert "NOT_SET_HERE" in found["gone"]["problem"]["detail"]
    assert "--url" in box.crm("apply", str(folder.path), code=2)
    assert "names no instance" in box.crm("apply", str(folder.path), "--url", "http://127.0.0.1:1", code=2)


def test_only_an_answer_is_missing(folder: Folder, front: Front) -> None:
    """A tenant that does not answer and nothing worse is exit 4."""
    folder.write("gone", branding=BRANDING)
    folder.write("same", smtp=MAIL)
    front.unreachable = {"gone"}
    try:
        assert folder.results(code=4)["same"]["status"] == "unchanged"
    finally:
        front.unreachable = set()


def test_a_secret_in_the_wrong_place_sends_nothing(folder: Folder, box: Box) -> None:
    """In the clear, or in a public section: exit 2 before any request, so no change of a folder publishes a secret."""
    folder.write("acme", branding={"title": "Sent?"})
    folder.write("same", branding={"title": REFERENCE}, smtp={**MAIL, "password": "in the clear"})
    before = attempts(box, "acme")
    text = folder.apply(code=2)
    assert "/branding/title" in text
    assert "/smtp/password" in text
    assert "in the clear" not in text
    assert PASSWORD not in text
    assert attempts(box, "acme") == before


def test_health_and_a_plan_agree_after_a_restore(folder: Folder, box: Box) -> None:
    """A restore is drift: the hash in health differs from the folder's, the plan shows it, and applying ends both."""
    for locale in ("de", "fr"):
        folder.write("drifting", workspace={"locale": locale})
        folder.apply()
    pushed = box.health("drifting")["sections"]["workspace"]["sha256"]
    oldest = good(box.get("sync/history/workspace", tenant="drifting"))["items"][-1]["revision"]
    path = f"{box.base('drifting')}/sync/history/workspace/{oldest}/restore"
    good(box.client.post(path, headers=box.bearer(tenant="drifting")))
    assert box.health("drifting")["sections"]["workspace"]["sha256"] != pushed
    drift = [{"pointer": "/workspace/locale", "from": "de", "to": "fr"}]
    assert folder.results("--plan", code=3)["drifting"]["changes"] == drift
    assert folder.results()["drifting"]["changes"] == drift
    assert box.health("drifting")["sections"]["workspace"]["sha256"] == pushed
    folder.apply("--plan")
