from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from crm_core.cli.apply_folder import DesiredFolder, read_folder
from crm_core.model.secret_members import SecretMember
from crm_core.settings.secrets import Secrets

MEMBERS = {"smtp": (SecretMember(("password",)),), "telephony": (SecretMember(("line", "pin")),)}
Read = Callable[..., DesiredFolder]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes files and reads the folder that contains them; ``PIN`` is set, and a file next to it has a secret."""
    (tmp_path / "secret").write_text("from a file\n")

    def call(files: Mapping[str, str], only: tuple[str, ...] = ()) -> DesiredFolder:
        for name, text in files.items():
            path = tmp_path / "fleet" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        secrets = Secrets({"PIN": "1234", "EMPTY": ""}, tmp_path / "fleet")
        return read_folder(tmp_path / "fleet", only, lambda name: MEMBERS.get(name, ()), secrets)

    return call


def test_both_forms_give_the_same_sections(read: Read) -> None:
    """A file for each section or one for all of them; a null section is absent, other files are ignored."""
    found = read(
        {
            "acme/branding.yaml": "title: Acme\n",
            "acme/workspace.yaml": "locale: de\n",
            "beta.yaml": "branding: {title: Acme}\nworkspace: {locale: de}\nfeatures: null\n",
            ".git/acme.yaml": "x: y",
            "README.md": "The fleet.",
        }
    )
    assert found.failed == {}
    sections = {"branding": {"title": "Acme"}, "workspace": {"locale": "de"}}
    assert found.tenants == {"acme": sections, "beta": sections}


def test_references_are_read_in_secret_members(read: Read) -> None:
    """From the environment, or a file relative to the folder, at any depth."""
    found = read(
        {
            "acme/telephony.yaml": "line: {number: '+49', pin: {secret: env:PIN}}\n",
            "acme/smtp.yaml": "host: x\npassword: {secret: file:../secret}\n",
        }
    )
    assert found.tenants["acme"] == {
        "smtp": {"host": "x", "password": "from a file"},
        "telephony": {"line": {"number": "+49", "pin": "1234"}},
    }


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"acme.yaml": "a: {}", "acme/branding.yaml": "title: a"}, "acme has a folder and a file"),
        ({"Acme.yaml": "a: {}"}, "'Acme' is not a tenant's name"),
        ({"acme.yml": "a: {}"}, "name the files .yaml"),
        ({"README.md": "no tenant"}, "has no tenant; add"),
        ({"acme/smtp.yaml": "password: clear"}, "/smtp/password is secret; write {secret"),
        ({"acme/smtp.yaml": "password: {secret: hex:00}"}, "/smtp/password is secret; write {secret"),
        ({"acme/branding.yaml": "title: {secret: env:PIN}"}, "/branding/title is not a secret member"),
        ({"acme.yaml": "other: {a: [{secret: env:PIN}]}"}, "/other/a/0 is not a secret member"),
        ({"acme/smtp.yaml": "secret: env:PIN"}, "/smtp is not a secret member"),
    ],
)
def test_a_folder_that_must_not_be_sent_is_wrong_usage(read: Read, files: Mapping[str, str], reason: str) -> None:
    """Nothing is read as something else: forms and secrets that are wrong refuse the whole folder."""
    with pytest.raises(click.UsageError) as refused:
        read({"sound.yaml": "branding: {title: Sound}", **files} if "README.md" not in files else files)
    assert reason in str(refused.value)
    assert "clear" not in str(refused.value)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"acme/branding.yaml": "title: ["}, "branding.yaml:2:1"),
        ({"acme/branding.yaml": "- a"}, "must be an object"),
        ({"acme.yaml": "branding: 5"}, "branding must be an object"),
        ({"acme/Branding.yaml": "title: a"}, "not a section's name"),
        ({"acme/notes.txt": "nothing here"}, "has no SECTION.yaml"),
    ],
)
def test_a_tenant_whose_files_cannot_be_used_fails_alone(read: Read, files: Mapping[str, str], reason: str) -> None:
    """The other tenants are read."""
    found = read({"sound.yaml": "branding: {title: Sound}", **files})
    assert found.tenants == {"sound": {"branding": {"title": "Sound"}}}
    assert found.failed.keys() == {"acme"}
    assert reason in found.failed["acme"]


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("env:UNSET", "/smtp/password: the environment variable UNSET is not set"),
        ("env:EMPTY", "/smtp/password: env:EMPTY is empty"),
        ("file:absent", "cannot be read"),
    ],
)
def test_a_secret_that_cannot_be_read_is_named(read: Read, reference: str, reason: str) -> None:
    """Its section has the reason in its place: whether it is needed is known once the tenant's health is."""
    found = read({"acme/smtp.yaml": f"password: {{secret: {reference}}}", "acme/branding.yaml": "title: Acme"})
    assert found.tenants["acme"]["branding"] == {"title": "Acme"}
    assert found.unreadable["acme"].keys() == {"smtp"}
    assert reason in found.unreadable["acme"]["smtp"]


def test_a_pipe_in_the_folder_is_no_file(read: Read, tmp_path: Path) -> None:
    """Reading it would wait for ever; its tenant fails."""
    (tmp_path / "fleet").mkdir()
    os.mkfifo(tmp_path / "fleet" / "east.yaml")
    assert "is not a file" in read({"acme.yaml": "branding: {}"}).failed["east"]


def test_only_some_tenants_are_read(read: Read) -> None:
    """Files of others may be broken; a name that the folder lacks is wrong usage."""
    files: dict[str, Any] = {"acme.yaml": "branding: [", "beta.yaml": "branding: {}"}
    assert read(files, ("beta",)) == DesiredFolder({"beta": {"branding": {}}}, {}, {"beta": {}})
    with pytest.raises(click.UsageError, match="has no tenant gamma"):
        read(files, ("beta", "gamma"))
