from __future__ import annotations

import base64
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from crm_branding.hooks import crm_register_payload_types as branding_types
from crm_combined.hooks import crm_register_payload_types as combined_types
from crm_core.model.catalog import Catalog, Module
from crm_core.model.contrast import contrast
from crm_core.model.entitlements import ModuleChoice, PlanGrant, RoleOverlay, Subscription
from crm_core.model.fields import convert
from crm_core.model.secret_members import SecretMember, secret_members
from crm_core.plugin.payload import PayloadContext, PayloadType
from crm_features.hooks import crm_register_payload_types as features_types
from crm_smtp.hooks import crm_register_payload_types as smtp_types
from crm_smtp.payload import SmtpOptions
from crm_workspace.hooks import crm_register_payload_types as workspace_types

Judge = Callable[..., dict[str, str]]


def png(width: int = 1) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


JPEG = (
    b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00"
    b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x7f\xff\xd9"
)
WEBP = b"RIFF" + struct.pack("<I", 18) + b"WEBPVP8L" + struct.pack("<I", 5) + b"\x2f\0\0\0\0\0"


def data_url(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


@pytest.fixture
def types() -> dict[str, PayloadType]:
    all_types = [*features_types(), *branding_types(), *smtp_types(), *workspace_types(), *combined_types()]
    return {each.NAME: each for each in all_types}


@pytest.fixture
def catalog() -> Catalog:
    def module(name: str, *requires: str) -> Module:
        return Module(
            name, name.title(), tuple(f"{name}.{a}" for a in ("view", "create", "update", "export")), requires
        )

    modules = {"customers": module("customers"), "deals": module("deals", "customers"), "tasks": module("tasks")}
    return Catalog(modules, PlanGrant("starter", "Starter", ("customers.*", "tasks.*")))


@pytest.fixture
def judge(types: dict[str, PayloadType], catalog: Catalog) -> Judge:
    """Findings of a section as pointer -> code; warnings with a leading ``?``."""

    def findings_of(section: str, data: Any, options: Any = None) -> dict[str, str]:
        roles = frozenset({"super_admin", "admin", "agent"})
        limits = frozenset({"customers", "users"})
        context = PayloadContext(catalog=catalog, roles=roles, options=options, limits=limits)
        part, findings = convert(data, types[section].SECTION)
        found = findings if part is None else tuple(types[section].validate(part, context))
        return {each.pointer: "?" * each.warning + each.code for each in found}

    return findings_of


FEATURES = {
    "plan": {"code": "pro", "name": "Pro", "features": ["customers.*", "deals.view"]},
    "overrides": {"deals.export": True},
    "modules": {"deals": {"enabled": True, "title": "Sales", "singular": "Sale", "icon": "coin", "order": 3}},
    "roles": {"agent": {"grant": ["deals.*", "*.view"], "deny": ["deals.export"]}},
    "limits": {"customers": 0, "users": 5},
    "subscription": {"state": "trial", "ends_at": "2027-01-31T00:00:00Z"},
}


def test_a_whole_features_section_is_accepted(judge: Judge, types: dict[str, PayloadType]) -> None:
    """All of it appears in the entitlements, and all its names are reported for the policy."""
    assert judge("features", FEATURES) == {}
    part, _ = convert(FEATURES, types["features"].SECTION)
    entitlements = types["features"].entitlements(part)
    assert entitlements is not None
    assert entitlements.plan == PlanGrant("pro", "Pro", ("customers.*", "deals.view"))
    assert entitlements.modules == {"deals": ModuleChoice(True, "Sales", "coin", 3, "Sale")}
    assert entitlements.roles == {"agent": RoleOverlay(("deals.*", "*.view"), ("deals.export",))}
    assert entitlements.subscription == Subscription("trial", "2027-01-31T00:00:00Z")
    assert (entitlements.overrides, entitlements.limits) == ({"deals.export": True}, {"customers": 0, "users": 5})
    assert dict(types["features"].modules(part)) == {
        "/plan/features/0": "customers.*",
        "/plan/features/1": "deals.view",
        "/overrides/deals.export": "deals.export",
        "/modules/deals": "deals",
        "/roles/agent/grant/0": "deals.*",
        "/roles/agent/grant/1": "*.view",
        "/roles/agent/deny/0": "deals.export",
    }


def test_an_empty_features_section_leaves_the_default_plan(types: dict[str, PayloadType]) -> None:
    """Without a plan in the section the entitlements have none."""
    part, _ = convert({}, types["features"].SECTION)
    entitlements = types["features"].entitlements(part)
    assert entitlements is not None
    assert entitlements.plan is None


def test_unknown_names_in_features_are_refused(judge: Judge) -> None:
    """Unknown keys of known modules, roles and limits are errors; unknown modules are left to the policy."""
    data = {
        "plan": {"code": "p", "name": "P", "features": ["deals.fly", "nowhere.view", "customers.*"]},
        "overrides": {"customers.fly": True},
        "roles": {"pilot": {}, "super_admin": {"deny": ["customers.view"]}, "agent": {"deny": ["*.fly"]}},
        "limits": {"planes": 1},
        "subscription": {"ends_at": "2027-02-30T00:00:00Z"},
    }
    assert judge("features", data) == {
        "/plan/features/0": "unknown_key",
        "/overrides/customers.fly": "unknown_key",
        "/roles/pilot": "unknown_role",
        "/roles/super_admin": "role_not_changeable",
        "/roles/agent/deny/0": "?no_effect",
        "/limits/planes": "unknown_limit",
        "/subscription/ends_at": "invalid_value",
    }


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"plan": {"code": "p", "name": "P", "features": ["*.view"]}}, "/plan/features/0"),
        ({"plan": {"code": "p", "name": "P", "features": ["*"]}}, "/plan/features/0"),
        ({"plan": {"code": "p", "name": "P"}}, "/plan/features"),
        ({"overrides": {"deals.*": True}}, "/overrides/deals.*"),
        ({"overrides": {"deals.view": 1}}, "/overrides/deals.view"),
        ({"modules": {"deals\n": {}}}, "/modules/deals\n"),
        ({"modules": {"deals": {"colour": 1}}}, "/modules/deals/colour"),
        ({"limits": {"users": -1}}, "/limits/users"),
        ({"subscription": {"state": "free"}}, "/subscription/state"),
        ({"subscription": {"ends_at": "2027-01-31"}}, "/subscription/ends_at"),
        ({"surplus": 1}, "/surplus"),
    ],
)
def test_features_of_the_wrong_form_are_refused(data: Any, pointer: str, judge: Judge) -> None:
    """Each invalid value is refused at its pointer."""
    assert list(judge("features", data)) == [pointer]


def test_overrides_without_effect_are_warnings(judge: Judge) -> None:
    """Overrides that repeat the plan, or grant in an unavailable module, are warnings."""
    overrides = {"customers.view": True, "deals.view": False, "deals.export": True, "tasks.export": False}
    assert judge("features", {"overrides": overrides}) == {
        "/overrides/customers.view": "?no_effect",
        "/overrides/deals.view": "?no_effect",
        "/overrides/deals.export": "?no_effect",
    }


def test_a_whole_branding_section_is_accepted(judge: Judge, types: dict[str, PayloadType]) -> None:
    """All members, with pictures of all three kinds, are accepted, and the section is public."""
    data = {
        "title": "Northwind",
        "logo_url": data_url("png", png()),
        "logo_dark_url": data_url("jpeg", JPEG),
        "favicon_url": data_url("webp", WEBP),
        "colors": {"primary": "#003366", "accent": "#AA3300", "background": "#ffffff", "text": "#111111"},
        "sidebar": {"image_url": "https://example.com/a.png", "caption": "Hello"},
        "footer": {"text": "a\nb", "links": [{"label": "Imprint", "url": "https://example.com/"}]},
        "support": {"email": "help@example.com", "url": "https://example.com/help", "phone": "+49 30 1"},
        "login_message": "<b>is text</b>",
    }
    assert judge("branding", data) == {}
    assert types["branding"].SHOWN == "public"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.png",
        "https://u:p@example.com/a.png",
        "data:image/svg+xml;base64,PHN2Zy8+",
        "data:text/html;base64,PGI+",
        "DATA:image/png;base64,AAAA",
        data_url("png", b"not a picture"),
        data_url("png", png()[:-1]),
        data_url("png", png() + b"x"),
        data_url("png", png(0)),
        data_url("png", JPEG),
        data_url("jpeg", JPEG[:-2]),
        data_url("jpeg", b"\xff\xd8\xff\xd9"),
        data_url("webp", WEBP[:-1]),
        data_url("webp", b"RIFF"),
        data_url("png", png() + b"x" * 65536),
        data_url("png", png()) + "\n",
        data_url("png", png())[:-3],
    ],
)
def test_invalid_pictures_are_refused(url: str, judge: Judge) -> None:
    """Other schemes and kinds, and broken, truncated and too large pictures are refused."""
    assert judge("branding", {"logo_url": url}) == {"/logo_url": "invalid_value"}


@pytest.mark.parametrize("color", ["#fff", "red", "#12345g", "#1234567", "#123456\n", " #123456", "123456"])
def test_colours_are_exactly_six_digits(color: str, judge: Judge) -> None:
    """Every other form of a colour is refused."""
    assert judge("branding", {"colors": {"primary": color}}) == {"/colors/primary": "invalid_value"}


def test_weak_contrast_is_a_warning(judge: Judge) -> None:
    """Weak contrast of foreground and background is a warning, and the ratio is the one of WCAG."""
    colors = {"text": "#777777", "background": "#888888", "accent": "#888888"}
    assert judge("branding", {"colors": colors}) == {"/colors/text": "?low_contrast", "/colors/accent": "?low_contrast"}
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"title": "x" * 201}, "/title"),
        ({"login_message": "x" * 2001}, "/login_message"),
        ({"footer": {"links": [{"label": "a", "url": "javascript:1"}]}}, "/footer/links/0/url"),
        ({"footer": {"links": [{"url": "https://example.com"}]}}, "/footer/links/0/label"),
        ({"support": {"email": "no address"}}, "/support/email"),
        ({"support": {"url": "http://example.com"}}, "/support/url"),
        ({"sidebar": {"image_url": "ftp://example.com"}}, "/sidebar/image_url"),
    ],
)
def test_branding_of_the_wrong_form_is_refused(data: Any, pointer: str, judge: Judge) -> None:
    """Each invalid value is refused at its pointer."""
    assert list(judge("branding", data)) == [pointer]


SMTP = {
    "host": "smtp.example.com",
    "port": 587,
    "security": "starttls",
    "username": "u",
    "password": "hunter2",
    "from_email": "crm@example.com",
    "from_name": "Müller & Co",
    "reply_to": "help@example.com",
    "timeout_seconds": 10,
}


def test_a_whole_smtp_section_is_accepted(judge: Judge, types: dict[str, PayloadType]) -> None:
    """It is accepted; its password is a secret bound to its server and not in the repr."""
    assert judge("smtp", SMTP) == {}
    section = types["smtp"].SECTION
    assert secret_members(section) == (SecretMember(("password",), ("host", "port", "security", "username")),)
    assert "hunter2" not in repr(convert(SMTP, section)[0])
    assert types["smtp"].SHOWN == "never"


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("host", "0x7f.1", "host_not_allowed"),
        ("host", "[::1]", "host_not_allowed"),
        ("host", "localhost", "host_not_allowed"),
        ("host", "smtp://example.com", "invalid_value"),
        ("host", "example.com:25", "invalid_value"),
        ("host", "example.com\n", "invalid_value"),
        ("host", "fe80::1%eth0", "invalid_value"),
        ("host", "\uff11\uff12\uff17.0.0.1", "invalid_value"),
        ("host", "", "invalid_value"),
        ("port", 22, "port_not_allowed"),
        ("port", 0, "invalid_value"),
        ("port", "587", "wrong_type"),
        ("security", "ssl", "invalid_value"),
        ("from_name", "a\r\nBcc: x@example.com", "invalid_value"),
        ("from_name", "=?utf-8?q?x?=", "invalid_value"),
        ("from_email", "a@example.com\n", "invalid_value"),
        ("reply_to", "=?a@example.com", "invalid_value"),
        ("password", "a\nb", "invalid_value"),
        ("timeout_seconds", 0, "invalid_value"),
    ],
)
def test_dangerous_smtp_values_are_refused(member: str, value: Any, code: str, judge: Judge) -> None:
    """Hosts inside the network, other ports, header injection and invalid values are refused."""
    assert judge("smtp", {**SMTP, member: value}) == {f"/{member}": code}


def test_internationalised_domains_are_accepted(judge: Judge) -> None:
    """In mail hosts, senders, support addresses and URLs, in any script and in their ASCII form."""
    for domain in ("k\u00f6ln.example", "xn--kln-sna.example", "\u65e5\u672c\u8a9e.example"):
        addresses = {"from_email": f"crm@{domain}", "reply_to": f"help@{domain}"}
        assert judge("smtp", {**SMTP, "host": f"smtp.{domain}", **addresses}) == {}
        support = {"email": f"help@{domain}", "url": f"https://{domain}/help"}
        assert judge("branding", {"support": support, "logo_url": f"https://{domain}/logo.png"}) == {}
    assert judge("smtp", {**SMTP, "host": "smtp.\u2764.example"}) == {"/host": "invalid_value"}
    assert judge("smtp", {**SMTP, "from_email": "a@\u2764.example"}) == {"/from_email": "invalid_value"}


def test_options_allow_private_hosts_and_ports(judge: Judge) -> None:
    """The instance's options allow private hosts with any port, or other ports."""
    assert judge("smtp", {"host": "127.0.0.1", "port": 1025}, SmtpOptions(allow_private_hosts=True)) == {}
    assert judge("smtp", {"port": 1025}, SmtpOptions(ports=(1025,))) == {}


def test_the_name_for_mail_servers_is_a_full_name_or_an_address() -> None:
    """A bare machine name or an unbracketed address is refused, as mail servers do (RFC 5321, section 4.1.2)."""
    for name in ("crm.example.com", "xn--kln-sna.example", "[192.0.2.1]", "[IPv6:2001:db8::1]"):
        assert msgspec.convert({"helo_name": name}, SmtpOptions).helo_name == name
    bare = ("crm", "192.0.2.1", "", "-a.example", "k\u00f6ln.example")
    for name in (*bare, "a b.example", "crm.example.com\r\nMAIL", "[\r\n]"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"helo_name": name}, SmtpOptions)


def test_a_password_without_encryption_is_a_warning(judge: Judge) -> None:
    """A password without encryption is accepted with a warning."""
    assert judge("smtp", {**SMTP, "security": "none"}) == {"/security": "?password_in_clear"}
    assert judge("smtp", {"security": "none"}) == {}


@pytest.mark.parametrize(
    ("port", "security", "warned"),
    [
        (465, "starttls", True), (465, "none", True), (465, None, True), (465, "tls", False),
        (587, "tls", True), (587, "starttls", False), (587, None, False), (None, "tls", False), (2525, "tls", False),
    ],
)  # fmt: skip
def test_port_and_security_that_do_not_fit_are_a_warning(
    port: int | None, security: str | None, warned: bool, judge: Judge
) -> None:
    """Port 465 expects TLS from the start, port 587 STARTTLS; without `security` starttls is used."""
    sent = {name: value for name, value in (("port", port), ("security", security)) if value is not None}
    assert judge("smtp", sent) == ({"/security": "?port_mismatch"} if warned else {})


@pytest.mark.parametrize("mask", ["*", "**********", "\u2022" * 8, "\u25cf\u25cf\u25cf", "* * *", "*\u2022\uff0a"])
def test_a_masked_password_is_refused(mask: str, judge: Judge) -> None:
    """A form's asterisks or bullets are no password."""
    assert judge("smtp", {**SMTP, "password": mask}) == {"/password": "password_masked"}
    assert judge("smtp", {**SMTP, "password": f"{mask}a"}) == {}


def test_a_very_long_host_is_refused_quickly(judge: Judge) -> None:
    """The patterns of hosts and locales need less than a second of CPU for a quarter of a megabyte."""
    started = time.thread_time()
    assert judge("smtp", {"host": ":" * 250_000 + "x"}) == {"/host": "invalid_value"}
    assert judge("smtp", {"host": "a." * 125_000 + "!"}) == {"/host": "invalid_value"}
    assert judge("workspace", {"locale": "en" + "-abcde" * 40_000 + "!"}) == {"/locale": "invalid_value"}
    assert time.thread_time() - started < 1


def test_a_whole_workspace_section_is_accepted(judge: Judge) -> None:
    """Locale, zone, currency, date format, week start and business hours are accepted."""
    data = {
        "locale": "zh-Hant-TW",
        "timezone": "Europe/Berlin",
        "currency": "EUR",
        "date_format": "DD.MM.YYYY",
        "week_start": "monday",
        "business_hours": {"monday": [{"from": "09:00", "to": "12:00"}, {"from": "13:00", "to": "24:00"}]},
    }
    assert judge("workspace", data) == {}


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"locale": "en_GB"}, "/locale"),
        ({"locale": "e"}, "/locale"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"timezone": "../etc/passwd"}, "/timezone"),
        ({"currency": "eur"}, "/currency"),
        ({"currency": "XXY"}, "/currency"),
        ({"week_start": "Monday"}, "/week_start"),
        ({"business_hours": {"monday": [{"from": "9:00", "to": "10:00"}]}}, "/business_hours/monday/0/from"),
        ({"business_hours": {"monday": [{"from": "10:00", "to": "09:00"}]}}, "/business_hours/monday/0/to"),
        ({"business_hours": {"someday": []}}, "/business_hours/someday"),
    ],
)
def test_workspaces_of_the_wrong_form_are_refused(data: Any, pointer: str, judge: Judge) -> None:
    """Each invalid value is refused at its pointer."""
    assert list(judge("workspace", data)) == [pointer]


def test_combined_passes_on_all_its_sections(types: dict[str, PayloadType]) -> None:
    """Combined has no section, and splits known and unknown sections alike."""
    data = {"features": {}, "telephony": {"provider": "x"}}
    assert types["combined"].split(data) == data
    assert types["combined"].SECTION is None
    assert types["features"].split({"limits": {}}) == {"features": {"limits": {}}}
