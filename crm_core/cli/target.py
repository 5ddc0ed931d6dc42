"""The target of a push and its signer, from options and the config folder.

With ``--url``, ``--tenant`` (or an address that names both), ``--key-version``, and ``--secret`` or ``--private-key``
with ``--scheme``, no config folder is needed, so a platform can use the same commands from its own machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from crm_core.cli.config_folder import ConfigFolder, key_of
from crm_core.cli.groups import Number
from crm_core.client import ReceiverUrl, Signer, Target, Unsigned, native_signer
from crm_core.errors import SetupError
from crm_core.model.ed25519 import public_key_of
from crm_core.model.keys import Key, KeyKind, TenantRoster
from crm_core.model.signed_text import NATIVE
from crm_core.plugin.signature import SignedRequest
from crm_core.settings.secrets import Secrets

F = TypeVar("F", bound=Callable[..., Any])


def sender_options(command: F) -> F:
    """``--url --tenant --scheme --key-version --secret --private-key``, as arguments of these names."""
    options = (
        click.option(
            "--url", help="The receiver, such as https://host/i/eu1/t/northwind. [default: from instance.yaml]"
        ),
        click.option("--tenant", help="The tenant. [default: from --url, or the only one in keys.yaml]"),
        click.option("--scheme", help=f"The signature scheme. [default: {NATIVE}, if the tenant accepts it]"),
        click.option("--key-version", type=Number(1), help="The version of the key. [default: the newest active one]"),
        click.option("--secret", metavar="REF", help="The key's secret, such as env:NAME. [default: from keys.yaml]"),
        click.option(
            "--private-key",
            metavar="REF",
            multiple=True,
            help="The private key of a key pair, such as env:NAME or file:PEM. Of several, the tenant's own signs.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


class SigningTarget(msgspec.Struct, frozen=True):
    """A target, and the function that signs for it; ``unix``: the socket to connect to."""

    target: Target
    signer: Signer
    unix: Path | None = None


def sender(
    folder: ConfigFolder,
    *,
    url: str | None,
    tenant: str | None,
    scheme: str | None = None,
    key_version: int | None = None,
    secret: str | None = None,
    private_key: Sequence[str] = (),
    pairs: Mapping[bytes, bytes] | None = None,
) -> SigningTarget:
    """The target and signer of the options. Raises SetupError, click.UsageError.

    A single ``private_key`` signs even if keys.yaml does not have its public key; several, or ``pairs`` (private keys
    by their public ones), sign for the tenants that have these in keys.yaml.
    """
    if secret is not None and (private_key or pairs):
        raise click.UsageError("add either --secret or --private-key")
    address, unix = (url, None) if url is not None else folder.address()
    target = _target(folder, address, tenant)
    entry, pairs = TenantRoster(), pairs or key_pairs(private_key)
    if len(private_key) == 1:
        keys = tuple(_option_key(folder, target.tenant, "public", public, key_version) for public in pairs)
    elif secret is not None:
        material = _read("--secret", Secrets(os.environ, Path()).reference, secret)
        keys = (_option_key(folder, target.tenant, "secret", material, key_version),)
    else:
        entry = folder.entry(target.tenant)
        known = _roster_keys(entry, target.tenant, key_version)
        keys = tuple(key for key in known if key.kind == "secret" or key.material in pairs)
        if not keys:
            only = f"keys.yaml has only public keys for {target.tenant} here"
            raise SetupError([f"{only}; sign with the private key of one: --private-key REF"])
    return SigningTarget(target, _signer(folder, *_fitting(folder, entry, keys, scheme), pairs), unix)


def key_pairs(references: Iterable[str]) -> dict[bytes, bytes]:
    """The private keys behind ``--private-key``, by their public keys. Raises SetupError."""
    read = Secrets(os.environ, Path()).private
    return {public_key_of(key): key for key in (_read("--private-key", read, reference) for reference in references)}


def senders(
    folder: ConfigFolder, tenants: Iterable[str], **options: Any
) -> Iterator[tuple[str, SigningTarget | SetupError]]:
    """The target and signer of each tenant, or why there is none; ``options``: those of ``sender``."""
    for tenant in tenants:
        try:
            yield tenant, sender(folder, tenant=tenant, **options)
        except SetupError as error:
            yield tenant, error


def _target(folder: ConfigFolder, url: str, tenant: str | None) -> Target:
    """The target of a URL; an instance or tenant that it leaves out comes from the folder."""
    try:
        address = ReceiverUrl.read(url)
        if not address.instance and not folder.has_settings:
            raise click.UsageError(f"{url} names no instance; write it whole, such as https://host/i/eu1")
        return address.target(
            instance=None if address.instance else folder.settings.instance,
            tenant=tenant or (None if address.tenant else folder.only_tenant()),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _read(option: str, read: Callable[[str], bytes], reference: str) -> bytes:
    """The key behind a reference. Raises SetupError."""
    try:
        return read(reference)
    except ValueError as error:
        raise SetupError([f"{option}: {error}"]) from None


def _option_key(folder: ConfigFolder, tenant: str, kind: KeyKind, material: bytes, version: int | None) -> Key:
    """The key of an option; without a version it is the roster's with the same bytes, or version 1."""
    if version is None and folder.has_roster:
        for known in folder.roster.tenants.get(tenant, TenantRoster()).keys.values():
            if (known.kind, known.material) == (kind, material):
                return known
    return Key(version or 1, material, kind=kind)


def _roster_keys(entry: TenantRoster, tenant: str, version: int | None) -> tuple[Key, ...]:
    """The key of a version, or the active ones, the newest first. Raises SetupError."""
    if version is not None:
        return (key_of(entry, tenant, version),)
    now = datetime.now(UTC)
    active = entry.active(now)
    if not active:
        states = ", ".join(f"version {key.version} is {key.state(now)}" for key in entry.keys.values())
        what = f"{tenant} has no active key in keys.yaml ({states or 'there is none'})"
        raise SetupError([f"{what}; add the receiver's current key, or create one there: crm keys rotate {tenant}"])
    return active


def _fitting(folder: ConfigFolder, entry: TenantRoster, keys: tuple[Key, ...], scheme: str | None) -> tuple[str, Key]:
    """The first key that can sign here and its scheme, preferably the native one. Raises SetupError."""
    for key in keys:
        for name in (scheme,) if scheme is not None else folder.schemes(entry):
            if key.serves(name, folder.kinds(name)):
                return name, key
    versions = ", ".join(str(key.version) for key in keys)
    allowed = ", ".join(sorted({name for key in keys for name in key.schemes or ()})) or f"any for {keys[0].kind} keys"
    what = f"the scheme {scheme}" if scheme is not None else "any scheme that keys.yaml accepts"
    raise SetupError([f"no key (version {versions}) can sign with {what}; schemes of these keys: {allowed}"])


def _signer(folder: ConfigFolder, name: str, key: Key, pairs: Mapping[bytes, bytes]) -> Signer:
    if name == NATIVE:
        return native_signer(key.material, key.version)
    scheme = folder.registry.schemes[name]
    signs = partial(folder.registry.scheme_calls.sign, scheme, key.kind)
    material = pairs[key.material] if key.kind == "public" else key.material

    def headers(request: Unsigned, timestamp: int, nonce: str) -> Mapping[str, str]:
        arrived = SignedRequest(query=None, **msgspec.structs.asdict(request))
        return {name.lower(): value for name, value in signs(arrived, material, key.version, timestamp, nonce).items()}

    return headers
