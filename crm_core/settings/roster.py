"""keys.yaml, the key roster: whose pushes are accepted, and the keys that sign them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, cast

from crm_core.model.keys import Key, KeyKind, Roster, TenantRoster
from crm_core.settings.document import MappingMember, Node
from crm_core.settings.key_pairs import public_keys_in
from crm_core.settings.places import Place, Wrong
from crm_core.settings.reading import (
    Members,
    boolean,
    check_name,
    duration,
    integer,
    list_of,
    mapping_of,
    moment,
    networks,
    one_of,
    read_file,
    set_of,
)
from crm_core.settings.secrets import References, Secrets


def load_roster(
    path: Path, *, sections: Collection[str], schemes: Collection[str], environ: Mapping[str, str]
) -> Roster:
    """The roster. ``sections`` and ``schemes``: the known names, to which keys may be limited. Raises SetupError."""
    return read_file(path, _RosterReader(sections, schemes, Secrets(environ, path.parent)).read)


def load_roster_outline(path: Path, *, sections: Collection[str], schemes: Collection[str]) -> Roster:
    """The roster without reading secrets: each is replaced by its reference. Raises SetupError."""
    return read_file(path, _RosterReader(sections, schemes, References()).read)


class _RosterReader:
    """Reads the file once and refuses keys that appear twice."""

    def __init__(self, sections: Collection[str], schemes: Collection[str], secrets: Secrets | References) -> None:
        self._sections = sections
        self._schemes = schemes
        self._secrets = secrets
        self._seen: dict[KeyKind, dict[bytes, Place]] = {"secret": {}, "public": {}}
        self._like_public: dict[bytes, Place] = {}  # public keys that equal a secret, decoded or not

    def read(self, node: Node) -> Roster:
        members = Members(node)
        tenants = members.required("tenants", lambda value: mapping_of(value, self._tenant, "tenants"), "{}")
        members.done()
        assert tenants is not None
        return Roster(tenants)

    def _tenant(self, member: MappingMember) -> TenantRoster:
        members = Members(member.value, "the tenant's members")
        try:
            check_name(member.name, member.place)
        except Wrong as wrong:
            members.problems.extend(wrong.problems)
        sync = members.get("sync", one_of(("enabled", "disabled"), "word here"), "enabled")
        schemes = members.get("schemes", set_of(one_of(self._schemes, "signature scheme"), least=1), None)
        repeats = members.get("repeats", one_of(("reject", "accept"), "word here"), "reject")
        expect_every = members.get("expect_every", duration, None)
        keys = members.get("keys", list_of(partial(self._key, versions={})), ())
        members.done()
        return TenantRoster(
            enabled=sync == "enabled",
            schemes=schemes,
            repeats=cast("Literal['reject', 'accept']", repeats),
            expect_every=expect_every,
            keys={key.version: key for key in keys},
        )

    def _key(self, node: Node, versions: dict[int, Place]) -> Key:
        """A key of a tenant; ``versions`` has the places of those before it, since each may appear once."""
        members = Members(node, "the key's members")
        version = members.required("version", integer(1), "1")
        entry = members.find("version")
        if version is not None and entry is not None:
            first = versions.setdefault(version, entry.value.place)
            if first is not entry.value.place:
                message = f"version {version} is used in line {first.line} already; give each key its own"
                members.wrong(entry.value.place, message)
        kind: KeyKind = "secret" if members.find("public") is None else "public"
        if kind == "secret":
            material = members.required("secret", self._unused_secret, "env:NAME")
        else:
            material = members.get("public", self._unused_public, None)
            extra = members.find("secret")
            if extra is not None:
                members.wrong(extra.value.place, "a key has `secret` or `public`, not both; remove one of them")
        not_before = members.get("not_before", moment, None)
        not_after = members.get("not_after", moment, None)
        ends = members.find("not_after")
        if not_before is not None and not_after is not None and ends is not None and not_after <= not_before:
            members.wrong(
                ends.value.place, "not_after is not later than not_before; the key would never be active, swap them"
            )
        revoked = members.get("revoked", boolean, False)
        types = members.get("types", set_of(one_of(self._sections, "section"), least=1), None)
        schemes = members.get("schemes", set_of(one_of(self._schemes, "signature scheme"), least=1), None)
        sources = members.get("sources", networks, None)
        members.done()
        assert version is not None
        assert material is not None
        return Key(
            version=version,
            material=material,
            kind=kind,
            not_before=not_before,
            not_after=not_after,
            revoked=revoked,
            types=types,
            sources=sources,
            schemes=schemes,
        )

    def _unused_secret(self, node: Node) -> bytes:
        secret = self._secrets.key(node)
        self._unused("secret", secret, node.place)
        for public in public_keys_in(secret):
            self._like_public.setdefault(public, node.place)
            self._refuse_shared(self._seen["public"].get(public), node.place)
        return secret

    def _unused_public(self, node: Node) -> bytes:
        public = self._secrets.public(node)
        self._unused("public", public, node.place)
        self._refuse_shared(self._like_public.get(public), node.place)
        return public

    def _unused(self, kind: KeyKind, material: bytes, place: Place) -> None:
        first = self._seen[kind].setdefault(material, place)
        if first is not place:
            words = {"secret": ("secret", "secret"), "public": ("public key", "key pair")}[kind]
            message = f"the same {words[0]} is used in line {first.line} already; give every key its own {words[1]}"
            raise Wrong.at(place, message)

    @staticmethod
    def _refuse_shared(other: Place | None, place: Place) -> None:
        """Raise Wrong for a secret that equals a public key: a MAC with a public key proves nothing."""
        if other is not None:
            message = f"a public key and a secret are the same here and in line {other.line}; use a fresh secret"
            raise Wrong.at(place, message)
