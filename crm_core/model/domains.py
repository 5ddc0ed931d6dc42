"""Internationalized domain names: stored as written, compared and sent in their ASCII form (IDNA 2008, RFC 5891)."""

from __future__ import annotations

from typing import Final
from unicodedata import normalize

_LONGEST: Final = 253


def ascii_domain(name: str) -> str:
    """A domain name or host in the form that DNS and mail servers know, in lower case.

    Capitals and composed characters count as their plain forms (RFC 5895). Nothing else is mapped: full-width digits
    would become an address, and other dots would hide a name in a name.

    Raises:
        ValueError: the name is not valid.
    """
    labels = name.split(".")
    if "" in labels[:-1]:
        raise ValueError("a part of the name is empty")
    if name.isascii():
        return name.lower()
    if len(name) > _LONGEST:
        raise ValueError("the name is too long")
    name = ".".join(map(_ascii_label, labels))
    if len(name.rstrip(".")) > _LONGEST:
        raise ValueError("the name is too long in its ASCII form")
    return name


def is_domain(name: str) -> bool:
    """Whether a name has an ASCII form."""
    try:
        ascii_domain(name)
    except ValueError:
        return False
    return True


def is_address(address: str) -> bool:
    """Whether the domain of an email address has an ASCII form."""
    return is_domain(address.rpartition("@")[2])


def ascii_address(address: str) -> str:
    """An email address with its domain in ASCII, for a message and its envelope; an invalid one as it is."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{ascii_domain(domain)}" if at and not domain.isascii() and is_domain(domain) else address


def comparable_address(address: str) -> str:
    """An email address in the form in which equal ones compare equal: without case, its domain in ASCII."""
    return ascii_address(address.strip()).lower()


def _ascii_label(label: str) -> str:
    if label.isascii():
        return label.lower()
    import idna  # only now: its tables are large, and most names are ASCII

    return idna.alabel(normalize("NFC", label.lower())).decode("ascii")
