"""Where a tenant's receiver is: origin, instance and tenant, and the paths that follow from them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from crm_core.model.names import NAME_PATTERN, is_name, is_section_name

_LIKE = "write it as https://host/i/INSTANCE/t/TENANT, or without /t/TENANT for several tenants"
_PATH = re.compile(
    rf"(?:/i/(?P<instance>{NAME_PATTERN})(?:/t/(?P<tenant>{NAME_PATTERN})(?:/api(?:/v1)?)?)?)?/?", re.ASCII
)


class ReceiverUrl(msgspec.Struct, frozen=True):
    """The parts of a receiver's URL; None is a part that it leaves out."""

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
            raise ValueError(f"{url!r} is not a URL; {_LIKE}") from None
        if parts.username is not None or parts.password is not None:
            raise ValueError("The URL contains a user name or password. Remove them: pushes are signed.")
        path = _PATH.fullmatch(parts.path)
        if parts.scheme not in ("http", "https") or not parts.hostname or path is None or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is not a receiver's URL; {_LIKE}")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        origin = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
        return cls(origin, path["instance"], path["tenant"])

    def target(self, *, instance: str | None = None, tenant: str | None = None) -> Target:
        """The target; the arguments fill in what the URL leaves out. Raises ValueError with a sentence."""
        return Target(self.origin, _agreed("instance", self.instance, instance), _agreed("tenant", self.tenant, tenant))


class Target(msgspec.Struct, frozen=True):
    """A tenant's receiver. ``origin`` is ``https://host[:port]``, without a slash at its end."""

    origin: str
    instance: str
    tenant: str

    @classmethod
    def at(cls, url: str, *, instance: str | None = None, tenant: str | None = None) -> Target:
        """The target at a URL such as ``https://crm.example/i/eu1/t/northwind``.

        The arguments fill in what the URL leaves out.

        Raises:
            ValueError: this is not a receiver's URL, or it names another instance or tenant than those given.
        """
        return ReceiverUrl.read(url).target(instance=instance, tenant=tenant)

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        return self.origin.partition("://")[2]

    def path(self, payload_type: str) -> str:
        """The path for a push of this type, or for ``health``. Raises ValueError: not a payload type's name."""
        if not is_section_name(payload_type):
            raise ValueError(
                f"{payload_type!r} is not a payload type's name: use a-z, 0-9, _ and -, starting with a-z."
            )
        return f"/i/{self.instance}/t/{self.tenant}/api/v1/sync/{payload_type}"


def _agreed(what: str, in_url: str | None, argument: str | None) -> str:
    if in_url is not None and argument is not None and in_url != argument:
        raise ValueError(f"The URL names the {what} {in_url}, but {argument} is given too. Leave one of them out.")
    name = in_url or argument
    if name is None:
        raise ValueError(f"The {what} is missing. Give it, or write the URL as https://host/i/INSTANCE/t/TENANT.")
    if not is_name(name):
        raise ValueError(f"{name!r} is not a valid {what}: use a-z, 0-9 and -, starting and ending with a-z or 0-9.")
    return name
