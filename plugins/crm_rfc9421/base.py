"""The signature base of RFC 9421, 2.5: the text that a signature covers."""

from __future__ import annotations

import hashlib
import re

from crm_core.errors import SignatureIncomplete, SignatureMalformed
from crm_core.plugin.signature import SignedRequest
from crm_rfc9421.fields import InnerList, Item, Parameters, read_dictionary, written_item, written_list, written_member

_FIELD_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,128}")
_UNFIT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # a line break in a value would forge a line of the base
TARGETS = ("@path", "@target-uri", "@request-target")
"""The derived components of which a signature covers one at least: each names the tenant and the payload type."""
DIGEST = "content-digest"
DIGESTS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_DERIVED = ("@method", "@query", "@authority", "@scheme", *TARGETS)
_DEFAULT_PORT = re.compile(r":(?:80|443)$")


def component_names(covered: InnerList) -> tuple[str, ...]:
    """The names of the covered components in order: supported, each once. Raises SignatureMalformed."""
    seen: set[str] = set()
    for item in covered.items:
        name = item.value
        if not isinstance(name, str):
            raise SignatureMalformed("Signature-Input covers an item that is not a name in quotes. Quote each name.")
        if item.parameters and not (name == DIGEST and _names_a_digest(item.parameters)):
            raise SignatureMalformed(
                f"Signature-Input gives a component parameters. Cover it without parameters; only {DIGEST} may have "
                ';key="sha-256" or ;key="sha-512".'
            )
        if name not in _DERIVED and not _FIELD_NAME.fullmatch(name):
            raise SignatureMalformed(
                "Signature-Input covers an unsupported component. Cover header names in lower case, and of the "
                f"derived components only {', '.join(_DERIVED)}."
            )
        identifier = written_item(item)
        if identifier in seen:
            raise SignatureMalformed("Signature-Input covers a component twice. Cover each once.")
        seen.add(identifier)
    return tuple(str(item.value) for item in covered.items)


def _names_a_digest(parameters: Parameters) -> bool:
    """Whether the parameters are ``;key`` alone, with a digest that is checked against the body."""
    return list(parameters) == ["key"] and parameters["key"] in DIGESTS


def signature_base(request: SignedRequest, covered: InnerList) -> bytes:
    """The base of the covered components. Raises SignatureIncomplete (a header is missing), SignatureMalformed."""
    component_names(covered)
    lines = [f"{written_item(item)}: {_value(request, item)}" for item in covered.items]
    lines.append(f'"@signature-params": {written_list(covered)}')
    try:
        return "\n".join(lines).encode("latin-1")
    except UnicodeEncodeError:
        raise SignatureMalformed("A covered component contains characters that no header can have.") from None


def _value(request: SignedRequest, item: Item) -> str:
    name = str(item.value)
    if name.startswith("@"):
        value = _derived(request, name)
    else:
        value = _digest_member(request, str(item.parameters["key"])) if item.parameters else _header(request, name)
    if _UNFIT.search(value):
        raise SignatureMalformed(f"The covered component {name} contains a control character.")
    return value


def _derived(request: SignedRequest, name: str) -> str:
    """RFC 9421, 2.2. The authority has no default port, of either scheme: a proxy may terminate TLS."""
    authority, path = _DEFAULT_PORT.sub("", request.authority.lower()), request.path or "/"
    target = path if request.query is None else f"{path}?{request.query}"
    return {
        "@method": request.method,
        "@path": path,
        "@query": f"?{request.query or ''}",
        "@authority": authority,
        "@scheme": request.scheme,
        "@target-uri": f"{request.scheme}://{authority}{target}",
        "@request-target": target,
    }[name]


def _digest_member(request: SignedRequest, key: str) -> str:
    """RFC 9421, 2.1.2: a member of Content-Digest, serialised. Raises SignatureIncomplete, SignatureMalformed."""
    member = read_dictionary(_header(request, DIGEST), DIGEST).get(key)
    if member is None:
        raise SignatureIncomplete(f"The signature covers {key} of {DIGEST}, which the request does not have.")
    return written_member(member)


def _header(request: SignedRequest, name: str) -> str:
    """RFC 9421, 2.1: all values of the header, stripped and joined by a comma and a space."""
    values = request.all(name)
    if not values:
        raise SignatureIncomplete(f"The signature covers the header {name}, which the request does not have.")
    return ", ".join(value.strip(" \t") for value in values)
