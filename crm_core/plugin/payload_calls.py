"""Calls of payload types through the door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from crm_core.errors import Finding
from crm_core.model.fields import prepare
from crm_core.model.presentation import Appearance, MailSettings, Regional
from crm_core.plugin import door
from crm_core.plugin.door import Door
from crm_core.plugin.payload import Entitlements, PayloadContext, PayloadType

CAPABILITIES: Final[Mapping[str, type[msgspec.Struct]]] = {
    "entitlements": Entitlements,
    "appearance": Appearance,
    "regional": Regional,
    "mail_server": MailSettings,
}
"""The methods in which a type says what its section means, and the type of their results."""


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """The meaning of a section beyond its data, as its type says."""

    entitlements: Entitlements | None = None
    appearance: Appearance | None = None
    regional: Regional | None = None
    mail_server: MailSettings | None = None


prepare((Meaning,))  # long bodies are checked in threads


def _offered(one: PayloadType) -> tuple[str, ...]:
    """The capabilities that a type has."""
    return tuple(name for name in CAPABILITIES if getattr(type(one), name) is not getattr(PayloadType, name))


class PayloadCalls:
    """The payload types of a process. ``owners``: the plugin of each by NAME, which errors name."""

    def __init__(
        self, types: Mapping[str, PayloadType], owners: Mapping[str, str] | None = None, through: Door | None = None
    ) -> None:
        self.sections = {name: one for name, one in types.items() if one.SECTION is not None}
        self._offered = {name: _offered(one) for name, one in self.sections.items()}
        self._owners = owners or {}
        self._door = through or Door()

    def owner(self, name: str) -> str:
        """The plugin that brings a type."""
        return self._owners.get(name, name)

    def offers(self, name: str, capability: str) -> bool:
        """Whether a type says what its section means in this respect."""
        return capability in self._offered.get(name, ())

    def split(self, payload_type: PayloadType, data: Mapping[str, Any]) -> dict[str, Any]:
        """The parts of a push by section. Raises PluginFailed."""
        if type(payload_type).split is PayloadType.split:  # the core's own, which returns the data as it is
            return dict(payload_type.split(data))
        return self._call(payload_type, "split", partial(payload_type.split, data), door.mapping)

    def validate(self, payload_type: PayloadType, part: Any, context: PayloadContext) -> list[Finding]:
        """The findings of a type on a part. Raises PluginFailed."""
        return self._call(payload_type, "validate", partial(payload_type.validate, part, context), door.findings)

    def modules(self, payload_type: PayloadType, part: Any) -> list[tuple[str, str]]:
        """The pointers and names of the modules and keys in a part. Raises PluginFailed."""
        return self._call(payload_type, "modules", partial(payload_type.modules, part), door.named_keys)

    def upgrade(self, payload_type: PayloadType, data: dict[str, Any], from_version: int) -> dict[str, Any]:
        """The data of a section in the type's present schema. Raises PluginFailed."""
        return self._call(payload_type, "upgrade", partial(payload_type.upgrade, data, from_version), door.mapping)

    def meaning(self, payload_type: PayloadType, part: Callable[[], Any]) -> Meaning:
        """The meaning of a section; ``part`` makes an instance for each call. Raises PluginFailed."""
        offered = self._offered[payload_type.NAME]
        return Meaning(**{name: self._capability(payload_type, name, part) for name in offered})

    def entitlements(self, payload_type: PayloadType, part: Callable[[], Any]) -> Entitlements | None:
        """The effect of a section on modules and rights. Raises PluginFailed."""
        offered = self.offers(payload_type.NAME, "entitlements")
        return self._capability(payload_type, "entitlements", part) if offered else None

    def _capability(self, payload_type: PayloadType, capability: str, part: Callable[[], Any]) -> Any:
        function, expected = getattr(payload_type, capability), CAPABILITIES[capability]
        return self._call(
            payload_type,
            capability,
            lambda: function(part()),
            lambda value: None if value is None else door.instance(value, expected),
        )

    def _call(
        self, payload_type: PayloadType, hook: str, function: Callable[[], Any], check: door.Check[door.T]
    ) -> door.T:
        return self._door.call(self.owner(payload_type.NAME), hook, function, check)
