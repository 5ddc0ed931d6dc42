"""Which findings of a refusal its log entry contains, and in which words."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from crm_core.errors import Finding
from crm_core.model.secret_members import known_pointer
from crm_core.sync.logged_findings import logged_findings
from crm_core.sync.outcome import PartShape


class Login(msgspec.Struct):
    user: str
    password: Annotated[str, msgspec.Meta(extra={"secret": True})]


class Service(msgspec.Struct):
    login: Login
    hosts: list[str] = []
    labels: dict[str, str] = {}


class Plain(msgspec.Struct):
    title: str


class Kind:
    """A payload type, as far as findings need one."""

    def __init__(self, section: type[msgspec.Struct]) -> None:
        self.SECTION = section


SECTIONS: Any = {"service": Kind(Service), "plain": Kind(Plain)}
PARTS = (PartShape("plain", "/data/plain", {}), PartShape("service", "/data/service", {}))


def logged(*findings: Finding) -> list[tuple[str, str, str]]:
    found = logged_findings(findings, PARTS, SECTIONS)
    return [(one.pointer, one.code, one.message) for one in found]


def test_the_first_twenty_are_logged_and_long_texts_are_cut() -> None:
    """Twenty findings, each text of at most 300 characters."""
    many = [Finding(f"/data/plain/{n}" + "p" * 400, "c" * 400, "m" * 400) for n in range(25)]
    found = logged(*many)
    assert len(found) == 20
    assert found[0] == (many[0].pointer[:300], "c" * 300, "m" * 300)


@pytest.mark.parametrize(
    ("pointer", "shown"),
    [
        ("/data/service/login/password", "/data/service/login/password"),
        ("/data/service/login/password/hunter2", "/data/service/login/password"),
        ("/data/service/login/hunter2", "/data/service/login"),
        ("/data/service/hunter2", "/data/service"),
        ("/data/service/hosts/3", "/data/service/hosts/3"),
        ("/data/service/hosts/hunter2", "/data/service/hosts"),
        ("/data/service/labels/hunter2", "/data/service/labels"),
        ("/data/service", "/data/service"),
    ],
)
def test_a_section_with_secrets_shows_known_members_and_fixed_texts_only(pointer: str, shown: str) -> None:
    """Whatever was sent there may be a secret in the wrong place: neither pointer nor message repeats it."""
    assert logged(Finding(pointer, "invalid_value", "hunter2 does not fit")) == [
        (shown, "invalid_value", "This value is not valid.")
    ]
    assert logged(Finding(pointer, "unknown_member", "hunter2")) == [(shown, "unknown_member", "Unknown member.")]


@pytest.mark.parametrize("pointer", ["/data/plain/x", "/data/services", "/version", ""])
def test_findings_elsewhere_are_as_the_refusal_had_them(pointer: str) -> None:
    """Sections without secrets, and the envelope, keep pointer and message."""
    assert logged(Finding(pointer, "invalid_value", "Send text.")) == [(pointer, "invalid_value", "Send text.")]


def test_a_pointer_into_no_type_is_empty() -> None:
    """Nothing is known of a section without a type."""
    assert known_pointer(None, "/a/b") == ""
