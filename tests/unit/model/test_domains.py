"""Internationalised domain names and the addresses that have one."""

from __future__ import annotations

import msgspec
import pytest

from crm_core.model.domains import ascii_address, ascii_domain, comparable_address, is_domain
from crm_core.model.fields import convert
from crm_core.model.text_types import Email, https_trouble


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("k\u00f6ln-reisen.example", "xn--kln-reisen-ecb.example"),
        ("K\u00d6LN-Reisen.Example", "xn--kln-reisen-ecb.example"),
        ("ko\u0308ln-reisen.example", "xn--kln-reisen-ecb.example"),
        ("XN--KLN-REISEN-ECB.example", "xn--kln-reisen-ecb.example"),
        ("mail.k\u00f6ln-reisen.example.", "mail.xn--kln-reisen-ecb.example."),
        ("stra\u00dfe.example", "xn--strae-oqa.example"),
        ("\u65e5\u672c\u8a9e.jp", "xn--wgv71a119e.jp"),
        ("\u0939\u093f\u0928\u094d\u0926\u0940.example", "xn--j2bd4cyah0f.example"),
        ("\u05d0\u05d1.example", "xn--4dbc.example"),
        ("Smtp.Example.COM", "smtp.example.com"),
        ("_mail.example", "_mail.example"),
    ],
)
def test_a_name_in_its_ascii_form(written: str, sent: str) -> None:
    """However a name is written, DNS and mail servers know one form of it (RFC 5891)."""
    assert ascii_domain(written) == sent


@pytest.mark.parametrize(
    "name",
    [
        "\uff11\uff12\uff17.0.0.1",  # full-width digits would become an address
        "127\u30020\u30020\u30021",  # other dots would too
        "\u217cocalhost",
        "k\u00f6ln\u200d.example",
        "k\u00f6 ln.example",
        "-k\u00f6ln.example",
        "k\u00f6ln..example",
        "example..com",
        ".example.com",
        "\u2764.example",
        "\u05d0a.example",
        "\ud800.example",
        "\u00f6" * 64 + ".example",
        ("\u00f6" * 50 + ".") * 5 + "example",
        "\u00f6" * 100_000,
    ],
)
def test_a_name_that_is_none(name: str) -> None:
    """Nothing is mapped but case and composition, and lengths count in the ASCII form."""
    assert not is_domain(name)


def test_addresses_are_compared_by_their_ascii_form() -> None:
    """Case and the form of the domain do not distinguish addresses; the local part stays as it is."""
    forms = (
        "Post@K\u00d6LN.example",
        " post@k\u00f6ln.example ",
        "post@xn--kln-sna.example",
        "POST@XN--KLN-SNA.EXAMPLE",
    )
    assert {comparable_address(form) for form in forms} == {"post@xn--kln-sna.example"}
    assert ascii_address("Post@K\u00d6LN.example") == "Post@xn--kln-sna.example"
    assert ascii_address("Post@Example.com") == "Post@Example.com"
    for other in ("no address", "", "a@\u2764.example"):
        assert (ascii_address(other), comparable_address(other)) == (other, other)


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    """An object with an address."""

    email: Email | msgspec.UnsetType | None = msgspec.UNSET


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    """An object with an address in it and in an object."""

    mail: Email | msgspec.UnsetType = msgspec.UNSET
    support: Inner | msgspec.UnsetType = msgspec.UNSET
    count: int | msgspec.UnsetType = msgspec.UNSET


def test_an_invalid_domain_is_found_wherever_an_address_is() -> None:
    """Alone, as a member, deeper, and next to other errors: at its pointer, with what is expected."""
    good, bad = "post@k\u00f6ln.example", "post@\u2764.example"
    assert convert(good, Email) == (good, ())
    assert [finding.code for finding in convert(bad, Email)[1]] == ["invalid_value"]
    assert convert({"mail": good, "support": {"email": None}}, Outer)[1] == ()
    for data in ({"mail": bad, "support": {"email": bad}}, {"mail": bad, "support": {"email": bad}, "count": "x"}):
        part, findings = convert(data, Outer, pointer="/data")
        assert part is None
        assert {each.pointer for each in findings if "email address" in each.message} == {
            "/data/mail", "/data/support/email",
        }  # fmt: skip


@pytest.mark.parametrize(
    "address",
    [
        "a@\u00a0.example",
        "a@k\u00f6ln\u2028.example",
        "a@k\u00f6ln\u200b.example",
        "\u00f6@example.com",
        "a@-\u00f6.example",
    ],
)
def test_addresses_that_are_refused(address: str) -> None:
    """Invisible characters in a domain, and letters outside ASCII before the at sign."""
    assert convert(address, Email)[0] is None


def test_urls_with_international_hosts() -> None:
    """A host in any script, or in its ASCII form; not one that has none."""
    assert https_trouble("https://k\u00f6ln.example/\u00fcber?x=\u00e4") is None
    assert https_trouble("https://xn--kln-sna.example:8443/") is None
    assert "host name" in (https_trouble("https://\u2764.example/") or "")
    assert "host name" in (https_trouble("https://\uff11\uff12\uff17.0.0.1/") or "")
