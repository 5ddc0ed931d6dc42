"""Calls of signature schemes through the door: they refuse with the errors of their interface, and with no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from crm_core.errors import (
    AmbiguousSignature,
    KeyUnknown,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
)
from crm_core.model.keys import Key, KeyKind
from crm_core.plugin.door import Check, Door, exactly, findings, mapping, sentence, text
from crm_core.plugin.signature import MATCHING, SIGNING, Presented, SignatureScheme, SignedRequest

T = TypeVar("T")

REFUSALS: Final = (
    AmbiguousSignature,
    KeyUnknown,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
)
"""The errors that a scheme may raise."""

LONGEST_NONCE: Final = 256
_LARGEST: Final = 2**53 - 1  # the log is JSON, in which not every reader has larger integers (RFC 7493)


_IS_BOOL: Final = partial(exactly, expected=bool)


class SchemeCalls:
    """The schemes of a process. ``owners``: the plugin of each by NAME, which errors name."""

    def __init__(self, owners: Mapping[str, str], through: Door) -> None:
        self._owners = owners
        self._door = through

    def read(self, scheme: SignatureScheme, request: SignedRequest) -> Presented:
        """The claims of the headers. Raises ``REFUSALS``, PluginFailed."""
        return self._call(scheme, "read", _presented, request)

    def matches(self, scheme: SignatureScheme, request: SignedRequest, presented: Presented, key: Key) -> bool:
        """Whether the signature was made with the key, by its kind. Raises ``REFUSALS``, PluginFailed."""
        return self._call(scheme, MATCHING[key.kind], _IS_BOOL, request, presented, key.material)

    def sign(  # noqa: PLR0917 -- those of SignatureScheme.sign
        self, scheme: SignatureScheme, kind: KeyKind, request: SignedRequest, key: bytes, key_version: int,
        timestamp: int, nonce: str,
    ) -> dict[str, str]:  # fmt: skip
        """The headers of a signature with a key of this kind. Raises ``REFUSALS``, PluginFailed."""
        return self._call(scheme, SIGNING[kind], _headers, request, key, key_version, timestamp, nonce)

    def signed_text(self, scheme: SignatureScheme, request: SignedRequest, presented: Presented) -> bytes | None:
        """The text that the signature must cover; None if the scheme does not show it. Raises as ``read``."""
        if type(scheme).signed_text is SignatureScheme.signed_text:
            return None
        return self._call(scheme, "signed_text", partial(exactly, expected=bytes), request, presented)

    def _call(self, scheme: SignatureScheme, method: str, check: Check[T], *arguments: Any) -> T:
        asked = partial(_refusing, getattr(scheme, method), *arguments)
        return self._door.call(self._owners[scheme.NAME], method, asked, check, through=REFUSALS)


def _headers(value: Any) -> dict[str, str]:
    return {text(name): text(field) for name, field in mapping(value).items()}


def _refusing(call: Callable[..., Any], *arguments: Any) -> Any:
    """The answer of a scheme. Its refusal gets the type, the code and the form that the interface names."""
    try:
        return call(*arguments)
    except REFUSALS as refusal:
        named = next(error for error in REFUSALS if isinstance(refusal, error))
        detail = sentence(refusal.detail)
        if type(refusal) is named and detail is refusal.detail and not refusal.errors and not refusal.evidence:
            raise
        raise named(detail, errors=findings(refusal.errors)) from None


def _presented(value: Any) -> Presented:
    """Claims that can be compared, stored and logged, for any bytes of a sender."""
    presented = exactly(value, Presented)
    _number(presented.timestamp)
    for number in (presented.key_version, presented.expires):
        if number is not None:
            _number(number)
    nonce = text(presented.nonce)
    if not 1 <= len(nonce) <= LONGEST_NONCE:
        raise ValueError(f"a nonce has 1 to {LONGEST_NONCE} characters")
    return presented if nonce is presented.nonce else msgspec.structs.replace(presented, nonce=nonce)


def _number(value: Any) -> None:
    if type(value) is not int:
        raise TypeError(f"int expected, got {type(value).__name__}")
    if not 0 <= value <= _LARGEST:
        raise ValueError("times and versions are from 0 to 2^53 - 1")
