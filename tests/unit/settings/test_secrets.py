"""References to secrets: in the roster, in other settings, and outside of files."""

from __future__ import annotations

import base64
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from crm_core.settings.document import Items, Node, Scalar
from crm_core.settings.key_pairs import (
    private_key,
    public_key,
    public_keys_in,
    written_private_key,
    written_public_key,
)
from crm_core.settings.places import Place, Wrong
from crm_core.settings.roster import load_roster_outline
from crm_core.settings.secrets import References, Secrets

KEY = "k" * 32
RAW = b"\xfb\xff" * 16  # with both characters in which the two alphabets of base64 differ
B64 = base64.b64encode(RAW).decode()
PAIR = bytes(range(32))
HERE = Place("instance.yaml", 3, 5)
NULL, LIST = Scalar(HERE, ""), Items(HERE, ())
KIB = 1024


def written(text: str) -> Scalar:
    """A text in a file."""
    return Scalar(HERE, text)


def refused(call: Any, given: Any) -> str:
    """The sentence of a refusal; of one in a file at its place."""
    with pytest.raises((Wrong, ValueError)) as caught:
        call(given)
    text = str(caught.value)
    return text.removeprefix("instance.yaml:3:5: ") if isinstance(given, Scalar | Items) else text


def test_a_setting_accepts_a_secret_as_plain_text() -> None:
    """Where a text may be the secret, its bytes are the key, unless it has another form or is too short."""
    read = Secrets({"K": KEY}, Path()).plain_or_key
    for text, key in ((KEY, KEY.encode()), ("env:K", KEY.encode()), (f"base64:{B64}", RAW)):
        assert read(written(text)) == key
    assert refused(read, written("short")).startswith("the secret is too short, 5 bytes; use at least 32")
    for node in (NULL, LIST):
        assert refused(read, node).startswith("expected a secret; write one of env:NAME")


def test_a_setting_accepts_a_text_in_the_clear_or_by_reference(tmp_path: Path) -> None:
    """An address with a password is in the file, in the environment, or in another file."""
    (tmp_path / "dsn").write_text("postgresql://crm\n")
    read = Secrets({"DSN": "postgresql://crm\n"}, tmp_path).value
    assert {read(written(text)) for text in ("postgresql://crm", "env:DSN", "file:dsn")} == {"postgresql://crm"}
    assert read(written("environment")) == "environment"
    assert refused(read, written("env:ABSENT")).startswith("the environment variable ABSENT is not set")
    for node in (NULL, LIST):
        assert refused(read, node) == "expected a text; write one, or a reference such as env:NAME"


def test_an_option_of_a_command_is_a_reference(tmp_path: Path) -> None:
    """Keys and texts behind references that no file contains are refused with the same sentences."""
    (tmp_path / "a:b").write_text(KEY)
    secrets = Secrets({"K": KEY, "EMPTY": "\n", "TEXT": "said\r\n\r\n"}, tmp_path)
    assert secrets.reference("env:K") == secrets.reference("file:a:b") == KEY.encode()
    assert secrets.text("env:TEXT") == "said\r\n"
    assert refused(secrets.reference, KEY).startswith("the secret has no prefix")
    assert refused(secrets.text, "env:EMPTY") == "env:EMPTY is empty; let it contain the secret"
    for call in (secrets.reference, secrets.text, secrets.private):
        assert refused(call, "env:ABSENT").startswith("the environment variable ABSENT is not set")
    for path in ("file:", "file:a\0b"):
        assert (
            refused(secrets.reference, path)
            == "file: must be followed by a path; write one such as file:/run/secrets/key"
        )


def test_one_line_end_at_the_end_is_no_part_of_a_secret() -> None:
    """In either style of line ends; any other character is."""
    for ending, rest in (("\n", ""), ("\r\n", ""), ("\r", "\r"), ("\n\n", "\n"), ("\r\n\n", "\r\n"), (" \n", " ")):
        assert Secrets({"K": KEY + ending}, Path()).reference("env:K") == (KEY + rest).encode()


def test_white_space_around_a_form_counts_in_the_clear_alone() -> None:
    """A program that writes a secret file may add a line end; a text in the roster is what it says."""
    secrets = Secrets({"K": f" base64:{B64}\n"}, Path())
    assert secrets.reference("env:K") == RAW
    assert refused(secrets.reference, f" base64:{B64}").startswith("the secret has no prefix")


@pytest.mark.parametrize("prefix", ["base64:", "whsec_"])
def test_a_secret_with_a_foreign_character_is_refused(prefix: str) -> None:
    """It is not skipped, which would give the key of another text; the sentence names the form."""
    said = refused(Secrets({}, Path()).reference, f"{prefix}{B64[:8]}!{B64[8:]}")
    assert said.startswith(f"what follows {prefix} is not base64")


def test_the_longest_secrets_are_accepted(tmp_path: Path) -> None:
    """64 bytes of whsec_ (Standard Webhooks), and 64 KiB in a file; one byte more is refused."""
    secrets, most = Secrets({}, tmp_path), bytes(64)
    assert secrets.reference(f"whsec_{base64.b64encode(most).decode()}") == most
    (tmp_path / "large").write_bytes(b"k" * 64 * KIB)
    assert len(secrets.reference("file:large")) == 64 * KIB
    (tmp_path / "large").write_bytes(b"k" * (64 * KIB + 1))
    assert "is larger than 65536 bytes" in refused(secrets.reference, "file:large")


def test_a_file_without_end_is_not_read_whole(tmp_path: Path) -> None:
    """A path that leads to a disk image costs no memory."""
    (tmp_path / "image").touch()
    os.truncate(tmp_path / "image", 8 * KIB**2)
    tracemalloc.start()
    try:
        refused(Secrets({}, tmp_path).reference, "file:image")
        assert tracemalloc.get_traced_memory()[1] < KIB**2
    finally:
        tracemalloc.stop()


def test_a_pipe_that_no_one_writes_to_is_an_empty_secret(tmp_path: Path) -> None:
    """Reading it waits for no writer, whether there is one or not."""
    os.mkfifo(tmp_path / "pipe")
    secrets = Secrets({}, tmp_path)
    assert "0 bytes" in refused(secrets.reference, "file:pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        assert "0 bytes" in refused(secrets.reference, "file:pipe")
    finally:
        os.close(writer)


def test_a_public_key_is_one_text() -> None:
    """Nothing and a list are refused with the forms of a public key, each at its place."""
    for node in (NULL, LIST):
        assert refused(Secrets({}, Path()).public, node).startswith("expected a public key; write ed25519:BASE64")


def test_pairs_are_read_as_they_are_written() -> None:
    """What ``crm keys generate --ed25519`` prints is read back."""
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")  # RFC 8032, test 1
    assert private_key(written_private_key(PAIR)) == PAIR
    assert public_key(written_public_key(public)) == public
    assert (written_private_key(PAIR)[:5], written_public_key(public)[:8]) == ("whsk_", "ed25519:")


@pytest.mark.parametrize(
    "spelled",
    [
        RAW,
        B64.encode(),
        base64.urlsafe_b64encode(RAW),
        B64.rstrip("=").encode(),
        f"{B64}==".encode(),
        RAW.hex().encode(),
    ],
)
def test_the_keys_that_a_secret_spells(spelled: bytes) -> None:
    """A public key is recognised in both alphabets of base64, padded well or not; no other text is one."""
    assert RAW in public_keys_in(spelled)
    assert RAW in public_keys_in(base64.b64encode(spelled))
    assert public_keys_in(b"!!!!" + B64.encode()) == set()


ROSTER = """\
tenants:
  north: {sync: disabled, keys: [{version: 1, secret: "env:A"}, {version: 2, secret: "file:b"}]}
  south: {keys: [{version: 1, public: "env:C"}, {version: 2, public: "PAIR", types: [alpha], schemes: [beta]}]}
"""
PUBLIC = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


def outline(path: Path, text: str) -> Any:
    (path / "keys.yaml").write_text(text)
    return load_roster_outline(path / "keys.yaml", sections=("alpha",), schemes=("beta",))


def test_the_outline_of_a_roster_needs_no_secret(tmp_path: Path) -> None:
    """Commands of an admin read who may push what, without the environment of the server."""
    tenants = outline(tmp_path, ROSTER.replace("PAIR", PUBLIC)).tenants
    assert [key.material for key in tenants["north"].keys.values()] == [b"env:A", b"file:b"]
    assert not tenants["north"].enabled
    by_reference, in_the_clear = tenants["south"].keys.values()
    assert (by_reference.material, in_the_clear.material) == (b"env:C", public_key(PUBLIC))
    assert (in_the_clear.types, in_the_clear.schemes) == ({"alpha"}, {"beta"})


def test_the_outline_of_a_roster_is_checked_like_the_roster(tmp_path: Path, problems: Any) -> None:
    """One reference for two keys, a bad public key, and unknown names are problems without any secret."""
    text = ROSTER.replace("file:b", "env:A").replace("PAIR", "whpk_x").replace("[beta]", "[gamma]")
    reported = "\n".join(problems(outline, tmp_path, text))
    for words in ("the same secret is used in line 2 already", "not base64", "gamma"):
        assert words in reported


def test_what_is_no_reference_is_no_key_of_an_outline() -> None:
    """Nothing and a list are refused where a secret, a text or a public key belongs."""
    references = References()
    for node in (NULL, LIST):
        for call in (references.key, references.plain_or_key, references.value):
            assert refused(call, node).startswith("expected a secret; write one of env:NAME")
        assert refused(references.public, node).startswith("expected a public key")
    assert references.value(written("env:DSN")) == "env:DSN"
    unread: Node = written("file:/absent.pem")
    assert references.public(unread) == b"file:/absent.pem"
