"""The signature base of RFC 9421, 2.5: the text that a signature covers."""

from __future__ import annotations

import re

from crm_core.errors import SignatureIncomplete, SignatureMalformed
from crm_core.plugin.signature import SignedRequest
from crm_rfc9421.fields import InnerList, written_list

_FIELD_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,128}")
_UNFIT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # a line break in a value would forge a line of the base
_DERIVED = ("@method", "@path", "@query", "@authority")
_DEFAULT_PORT = re.compile(r":(?:80|443)$")


def component_names(covered: InnerList) -> tuple[str, ...]:
    """The covered components in order: supported, without parameters, each once. Raises SignatureMalformed."""
    names: list[str] = []
    for item in covered.items:
        name = item.value
        if not isinstance(name, str):
            raise SignatureMalformed("Signature-Input covers an item that is not a name in quotes. Quote each name.")
        if item.parameters:
            raise SignatureMalformed("Signature-Input gives a component parameters. Cover it without parameters.")
        if name not in _DERIVED and not _FIELD_NAME.fullmatch(name):
            raise SignatureMalformed(
                f"Signature-Input covers an unsupported component. Cover header names in lower case, "
                f"and of the derived components only {', '.join(_DERIVED)}."
            )
        if name in names:
            raise SignatureMalformed("Signature-Input covers a component twice. Cover each once.")
        names.append(name)
    return tuple(names)


def signature_base(request: SignedRequest, covered: InnerList) -> bytes:
    """The base of the covered components. Raises SignatureIncomplete (a header is missing), SignatureMalformed."""
    lines = [f'"{name}": {_value(request, name)}' for name in component_names(covered)]
    lines.append(f'"@signature-params": {written_list(covered)}')
    try:
        return "\n".join(lines).encode("latin-1")
    except UnicodeEncodeError:
        raise SignatureMalformed("A covered component contains characters that no header can have.") from None


def _value(request: SignedRequest, name: str) -> str:
    value = _derived(request, name) if name.startswith("@") else _header(request, name)
    if _UNFIT.search(value):
        raise SignatureMalformed(f"The covered component {name} contains a control character.")
    return value


def _derived(request: SignedRequest, name: str) -> str:
    """RFC 9421, 2.2. The authority has no default port, of either scheme: a proxy may terminate TLS."""
    match name:
        case "@method":
            return request.method
        case "@path":
            return request.path or "/"
        case "@query":
            return f"?{request.query or ''}"
        case _:
            return _DEFAULT_PORT.sub("", request.authority.lower())


def _header(request: SignedRequest, name: str) -> str:
    """RFC 9421, 2.1: all values of the header, stripped and joined by a comma and a space."""
    values = request.all(name)
    if not values:
        raise SignatureIncomplete(f"The signature covers the header {name}, which the request does not have.")
    return ", ".join(value.strip(" \t") for value in values)
