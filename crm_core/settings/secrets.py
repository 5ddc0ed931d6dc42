"""Secrets by reference (``env:NAME``, ``file:PATH``), or in the clear with a prefix such as ``base64:``.

The value behind a reference follows the same rules; without a prefix, its UTF-8 bytes without one final newline are
the secret. No message ever quotes a secret.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from crm_core.settings.document import Node, Scalar, open_nonblocking
from crm_core.settings.key_pairs import PUBLIC_FORMS, is_key_of_a_pair, private_key, public_key
from crm_core.settings.places import Wrong

T = TypeVar("T")

SHORTEST = 32  # bytes of a key
WHSEC_SHORTEST, WHSEC_LONGEST = 24, 64  # bytes; the Standard Webhooks specification's limits
_LARGEST_FILE = 64 * 1024
_HOPS = 4  # references that lead to references
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_FORMS = "env:NAME, file:/path, base64:..., hex:... or whsec_..."
_SECRET = f"a secret; write one of {_FORMS}"
_FRESH = "`crm keys generate` prints a fresh one"


class Secrets:
    """Reads secrets. ``environ``: the environment; ``folder``: what relative ``file:`` paths start from."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self._environ = environ
        self._folder = folder

    def key(self, node: Node) -> bytes:
        """The bytes of a key behind a reference; a secret in the clear, without a prefix, is refused."""
        return _read(node, _SECRET, self.reference)

    def plain_or_key(self, node: Node) -> bytes:
        """As ``key``, but the text itself may be the secret."""
        return _read(node, _SECRET, partial(self.reference, plain=True))

    def reference(self, text: str, *, plain: bool = False) -> bytes:
        """The bytes of a key behind a reference, or with a prefix; if ``plain``, also the text itself.

        Raises ValueError with a sentence.
        """
        referred = text.startswith(("env:", "file:"))
        text = self._resolved(text)
        plain = plain or referred
        shortest, longest, form = SHORTEST, None, text.strip() if referred else text
        if is_key_of_a_pair(form):
            raise ValueError("this is a key of an Ed25519 pair, not a shared secret; write the public key as `public`")
        if form.startswith("base64:"):
            key = _base64(form.removeprefix("base64:"), "base64:")
        elif form.startswith("hex:"):
            key = _hex(form.removeprefix("hex:"))
        elif form.startswith("whsec_"):
            key = _base64(form.removeprefix("whsec_"), "whsec_")
            shortest, longest = WHSEC_SHORTEST, WHSEC_LONGEST
        elif plain:
            key = _without_newline(text).encode()
        else:
            raise ValueError(f"the secret has no prefix; write one of {_FORMS}")
        if len(key) < shortest:
            raise ValueError(f"the secret is too short, {len(key)} bytes; use at least {shortest}, {_FRESH}")
        if longest is not None and len(key) > longest:
            raise ValueError(f"the secret is too long, {len(key)} bytes; a whsec_ has at most {longest}, {_FRESH}")
        return key

    def text(self, reference: str) -> str:
        """The text behind ``env:`` or ``file:``, without one final newline. Raises ValueError with a sentence."""
        secret = _without_newline(self._referenced(reference))
        if not secret:
            raise ValueError(f"{reference} is empty; let it contain the secret")
        return secret

    def public(self, node: Node) -> bytes:
        """The raw bytes of a public key, in the clear or behind a reference."""
        return _read(node, f"a public key; write {PUBLIC_FORMS}", self.public_reference)

    def public_reference(self, text: str) -> bytes:
        """The raw bytes of a public key behind a reference. Raises ValueError with a sentence."""
        return public_key(self._resolved(text))

    def private(self, text: str) -> bytes:
        """The raw bytes of a private key behind a reference. Raises ValueError with a sentence."""
        return private_key(self._resolved(text))

    def _resolved(self, text: str) -> str:
        """The text at the end of a chain of references."""
        for _ in range(_HOPS + 1):
            if not text.startswith(("env:", "file:")):
                return text
            text = self._referenced(text)
        raise ValueError("the references form a chain that is too long; refer to the key itself")

    def value(self, node: Node) -> str:
        """A text, in the clear or behind ``env:`` or ``file:``, such as an address with a password in it."""

        def read(text: str) -> str:
            return _without_newline(self._referenced(text)) if text.startswith(("env:", "file:")) else text

        return _read(node, "a text; write one, or a reference such as env:NAME", read)

    def _referenced(self, text: str) -> str:
        kind, _, where = text.partition(":")
        return self._from_environment(where) if kind == "env" else self._from_file(where)

    def _from_environment(self, name: str) -> str:
        if _ENV.fullmatch(name) is None:
            raise ValueError(
                "env: must be followed by the name of an environment variable; write one such as env:CRM_KEY_1"
            )
        if name not in self._environ:
            raise ValueError(f"the environment variable {name} is not set; set it to the secret")
        try:
            self._environ[name].encode()
        except UnicodeEncodeError:
            raise ValueError(f"the environment variable {name} is not UTF-8; write it as base64:...") from None
        return self._environ[name]

    def _from_file(self, where: str) -> str:
        if not where or "\0" in where:
            raise ValueError("file: must be followed by a path; write one such as file:/run/secrets/key")
        path = self._folder / where
        try:
            with open(path, "rb", opener=open_nonblocking) as file:
                raw = file.read(_LARGEST_FILE + 1) or b""  # a pipe without data reads as None
        except OSError as error:
            raise ValueError(f"the file {path} cannot be read ({error.strerror}); check path and permissions") from None
        if len(raw) > _LARGEST_FILE:
            raise ValueError(f"the file {path} is larger than {_LARGEST_FILE} bytes; let it contain the secret alone")
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ValueError(f"the file {path} is not UTF-8 text; write raw bytes as base64:...") from None


class References:
    """Replaces Secrets if no secret is needed: each reference counts as its own secret."""

    def key(self, node: Node) -> bytes:
        """The bytes of the reference itself."""
        return _read(node, _SECRET, str.encode)

    plain_or_key = key

    def public(self, node: Node) -> bytes:
        """The bytes of a public key in the clear; else of the reference itself."""
        if isinstance(node, Scalar) and node.text.startswith(("env:", "file:")):
            return node.text.encode()
        return Secrets({}, Path()).public(node)

    def value(self, node: Node) -> str:
        """The reference itself."""
        return self.key(node).decode()


def _read(node: Node, expected: str, read: Callable[[str], T]) -> T:
    """The value that a text states or refers to. Raises Wrong."""
    if not isinstance(node, Scalar) or node.null:
        raise Wrong.at(node.place, f"expected {expected}")
    try:
        return read(node.text)
    except ValueError as error:
        raise Wrong.at(node.place, str(error)) from None


def _without_newline(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _base64(text: str, prefix: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        message = (
            f"what follows {prefix} is not base64; use A-Z, a-z, 0-9, + and /, padded with = to a multiple of four"
        )
        raise ValueError(message) from None


def _hex(text: str) -> bytes:
    if re.fullmatch(r"(?:[0-9A-Fa-f]{2})*", text) is None:
        raise ValueError("what follows hex: is not hexadecimal; use pairs of 0-9 and a-f")
    return bytes.fromhex(text)
