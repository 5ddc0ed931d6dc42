"""Calls of signature schemes through the door: they refuse with the errors of their interface, and with no other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from crm_core.errors import (
    AmbiguousSignature,
    KeyUnknown,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
)
from crm_core.model.keys import Key
from crm_core.plugin.door import Door, exactly, text
from crm_core.plugin.signature import MATCHING, Presented, SignatureScheme, SignedRequest

REFUSALS: Final = (
    AmbiguousSignature,
    KeyUnknown,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
)
"""The errors that a scheme may raise."""


class SchemeCalls:
    """The schemes of a process. ``owners``: the plugin of each by NAME, which errors name."""

    def __init__(self, owners: Mapping[str, str], through: Door) -> None:
        self._owners = owners
        self._door = through

    def read(self, scheme: SignatureScheme, request: SignedRequest) -> Presented:
        """The claims of the headers. Raises ``REFUSALS``, PluginFailed."""
        plugin = self._owners[scheme.NAME]
        return self._door.call(plugin, "read", partial(scheme.read, request), _presented, through=REFUSALS)

    def matches(self, scheme: SignatureScheme, request: SignedRequest, presented: Presented, key: Key) -> bool:
        """Whether the signature was made with the key, by its kind. Raises ``REFUSALS``, PluginFailed."""
        method = MATCHING[key.kind]
        return self._door.call(
            self._owners[scheme.NAME],
            method,
            partial(getattr(scheme, method), request, presented, key.material),
            partial(exactly, expected=bool),
            through=REFUSALS,
        )


def _presented(value: Any) -> Presented:
    presented = exactly(value, Presented)
    _number(presented.timestamp)
    text(presented.nonce)
    for number in (presented.key_version, presented.expires):
        if number is not None:
            _number(number)
    return presented


def _number(value: Any) -> None:
    if type(value) is not int:
        raise TypeError(f"int expected, got {type(value).__name__}")
