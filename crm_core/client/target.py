"""Where a tenant's receiver is: origin, instance and tenant, and the paths that follow from them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from crm_core.model.names import NAME_PATTERN, is_name, is_section_name

_LIKE = "write one such as https://crm.example/i/eu1/t/northwind"
_PATH = re.compile(
    rf"(?:/i/(?P<instance>{NAME_PATTERN})(?:/t/(?P<tenant>{NAME_PATTERN})(?:/api(?:/v1)?)?)?)?/?", re.ASCII
)


class ReceiverUrl(msgspec.Struct, frozen=True):
    """What an address of a receiver names; None is what it leaves out."""

    origin: str
    instance: str | None
    tenant: str | None

    @classmethod
    def read(cls, url: str) -> ReceiverUrl:
        """Read ``https://host[:port][/i/INSTANCE[/t/TENANT]]``. Raises ValueError with a sentence."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(f"{url!r} is no address; {_LIKE}") from None
        if parts.username is not None or parts.password is not None:
            raise ValueError("The address holds a user or a password; pushes are signed, leave them out.")
        path = _PATH.fullmatch(parts.path)
        if parts.scheme not in ("http", "https") or not parts.hostname or path is None or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is no receiver's address; {_LIKE}")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        origin = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
        return cls(origin, path["instance"], path["tenant"])

    def target(self, *, instance: str | None = None, tenant: str | None = None) -> Target:
        """The target, where what the address leaves out is given. Raises ValueError with a sentence."""
        return Target(self.origin, _agreed("instance", self.instance, instance), _agreed("tenant", self.tenant, tenant))


class Target(msgspec.Struct, frozen=True):
    """A tenant's receiver. ``origin`` is ``https://host[:port]``, without a slash at its end."""

    origin: str
    instance: str
    tenant: str

    @classmethod
    def at(cls, url: str, *, instance: str | None = None, tenant: str | None = None) -> Target:
        """The target at an address such as ``https://crm.example/i/eu1/t/northwind``.

        What the address leaves out comes from ``instance`` and ``tenant``. Raises ValueError with a sentence: it is
        no address of a receiver, or names another instance or tenant than those given.
        """
        return ReceiverUrl.read(url).target(instance=instance, tenant=tenant)

    @property
    def authority(self) -> str:
        """What stands in the Host header."""
        return self.origin.partition("://")[2]

    def path(self, payload_type: str) -> str:
        """The path that a push of this type, or ``health``, goes to. Raises ValueError: no payload type's name."""
        if not is_section_name(payload_type):
            raise ValueError(f"{payload_type!r} is no name of a payload type; it is a-z, 0-9, _ and -, from a letter")
        return f"/i/{self.instance}/t/{self.tenant}/api/v1/sync/{payload_type}"


def _agreed(what: str, in_url: str | None, given: str | None) -> str:
    if in_url is not None and given is not None and in_url != given:
        raise ValueError(f"The address names the {what} {in_url}, and {given} is asked for; drop one of the two.")
    name = in_url or given
    if name is None:
        raise ValueError(f"The {what} is missing; name it, or write the address as https://host/i/INSTANCE/t/TENANT.")
    if not is_name(name):
        raise ValueError(f"{name!r} is no name of a {what}; it is a-z, 0-9 and -, from a letter or digit.")
    return name
