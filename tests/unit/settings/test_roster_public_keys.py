"""Public keys in keys.yaml."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from crm_core.settings.secrets import Secrets

PAIR = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RAW = PAIR.public_key().public_bytes_raw()
B64 = base64.b64encode(RAW).decode()
PEM = PAIR.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo).decode()
DER = PAIR.public_key().public_bytes(pem.Encoding.DER, pem.PublicFormat.SubjectPublicKeyInfo)
PRIVATE_PEM = PAIR.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()).decode()
WHSK = "whsk_" + base64.b64encode(bytes(range(32))).decode()
OF_EC = generate_private_key(SECP256R1()).public_key()
EC_PEM = OF_EC.public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo).decode()


def one(member: str, text: str, more: str = "") -> str:
    """A roster of one key."""
    return f'tenants: {{northwind: {{keys: [{{version: 1, {member}: "{text}"{more}}}]}}}}\n'


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        (f"ed25519:{B64}", {}),
        (f"whpk_{B64}", {}),
        ("env:K", {"K": f"ed25519:{B64}\n"}),
        ("env:K", {"K": PEM}),
        ("env:K", {"K": "env:L", "L": f"whpk_{B64}"}),
        ("file:nw.pem", {}),
    ],
)
def test_a_public_key_in_each_form(roster: Any, tmp_path: Path, text: str, environ: dict[str, str]) -> None:
    """Every form yields the 32 raw bytes, over which the fingerprint is taken."""
    (tmp_path / "nw.pem").write_text("\ufeff" + PEM)
    key = roster(one("public", text), **environ).tenants["northwind"].keys[1]
    assert (key.kind, key.material) == ("public", RAW)
    assert key.fingerprint.startswith("sha256:")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (B64, "not a public key"),
        (f"ed25519:{B64[:-4]}", "has 30 bytes"),
        ("ed25519:&&&", "not base64"),
        ("ed25519:" + base64.b64encode(bytes(32)).decode(), "small order"),
        ("ed25519:" + base64.b64encode((2).to_bytes(32, "little")).decode(), "not a point of the curve"),
        (WHSK, "private key"),
        ("env:PRIVATE", "private key"),
        ("env:EC", "another algorithm"),
        ("env:BROKEN", "PEM cannot be read"),
        ("env:ABSENT", "not set"),
        ("file:absent", "No such file"),
    ],
)
def test_a_public_key_that_cannot_be_used(roster: Any, problems: Any, text: str, words: str) -> None:
    """Each is refused with its place and what to write; a private key is not quoted."""
    environ = {"PRIVATE": PRIVATE_PEM, "EC": EC_PEM, "BROKEN": PEM.replace("M", "?")}
    (reported,) = (line for line in problems(roster, one("public", text), **environ) if "is missing" not in line)
    assert words in reported
    assert reported.startswith("keys.yaml:1:")
    assert WHSK[5:] not in reported


def test_a_key_has_secret_or_public(roster: Any, problems: Any) -> None:
    """Both in one key are refused."""
    text = one("public", f"ed25519:{B64}", f', secret: "hex:{"ab" * 32}"')
    assert any("not both" in line for line in problems(roster, text))


@pytest.mark.parametrize("first", ["public", "secret"])
@pytest.mark.parametrize(
    "secret",
    [
        f"hex:{RAW.hex()}",
        f"hex:{RAW.hex().upper()}",
        f"base64:{B64}",
        f"whsec_{B64}",
        "base64:" + base64.b64encode(B64.encode()).decode(),
        "base64:" + base64.b64encode(RAW.hex().encode()).decode(),
        "base64:" + base64.b64encode(f"ed25519:{B64}".encode()).decode(),
        "base64:" + base64.b64encode(DER).decode(),
        "base64:" + base64.b64encode(base64.urlsafe_b64encode(RAW).rstrip(b"=")).decode(),
        "env:HEX",
        "env:B64",
        "env:DER",
    ],
)
def test_a_public_key_is_no_secret_however_it_is_spelled(roster: Any, problems: Any, first: str, secret: str) -> None:
    """Anyone may know a public key: its bytes are no secret of any tenant, whichever comes first."""
    environ = {"HEX": RAW.hex(), "B64": B64 + "\n", "DER": base64.b64encode(DER).decode()}
    keys = {"public": f'public: "ed25519:{B64}"', "secret": f'secret: "{secret}"'}
    lines = [keys[first], keys["secret" if first == "public" else "public"]]
    text = "tenants:\n" + "".join(f"  t{at}: {{keys: [{{version: 1, {line}}}]}}\n" for at, line in enumerate(lines))
    reported = problems(roster, text, **environ)
    assert any("are the same here and in line 2" in line and line.startswith("keys.yaml:3:") for line in reported)


@pytest.mark.parametrize("text", [f"whpk_{B64}", f"ed25519:{B64}", PEM, PRIVATE_PEM, WHSK])
def test_a_key_of_a_pair_is_no_secret(roster: Any, problems: Any, text: str) -> None:
    """A text that is marked as half of a pair is refused as a secret, though no other key is like it."""
    assert any("not a shared secret" in line for line in problems(roster, one("secret", "env:K"), K=text))


def test_one_public_key_twice_is_refused(roster: Any, problems: Any) -> None:
    """In one tenant or in two, in any form."""
    text = f"""
        tenants:
          a: {{keys: [{{version: 1, public: "ed25519:{B64}"}}]}}
          b: {{keys: [{{version: 1, public: env:K, revoked: true}}]}}
        """
    said = "the same public key is used in line 2 already; give every key its own key pair"
    assert any(line.endswith(said) for line in problems(roster, text, K=PEM))


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (WHSK, True),
        ("whsk_" + base64.b64encode(bytes(range(32)) + RAW).decode(), True),
        (PRIVATE_PEM, True),
        ("whsk_" + base64.b64encode(bytes(range(32)) + bytes(32)).decode(), False),
        ("whsk_" + base64.b64encode(bytes(31)).decode(), False),
        (f"ed25519:{B64}", False),
    ],
)
def test_private_keys(text: str, good: bool) -> None:
    """Bytes alone, with the public key behind them, or PEM; a public part that does not fit is refused."""
    secrets = Secrets({"K": text}, Path())
    if good:
        assert secrets.private("env:K") == bytes(range(32))
    else:
        with pytest.raises(ValueError, match="private key"):
            secrets.private("env:K")
