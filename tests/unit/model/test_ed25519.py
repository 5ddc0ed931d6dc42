"""Keys and signatures of Ed25519, by the vectors of RFC 8032, section 7.1."""

from __future__ import annotations

import pytest

from crm_core.model.ed25519 import new_private_key, public_key_of, public_key_problem, sign, verifies

VECTORS = [  # private key, public key, text, signature
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
            "655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
            "b00d291612bb0c00"
        ),
    ),
]


@pytest.mark.parametrize("vector", VECTORS)
def test_the_vectors_of_the_standard(vector: tuple[str, str, str, str]) -> None:
    """Public key and signature are those of the standard, and verify over this text alone."""
    private, public, text, signature = map(bytes.fromhex, vector)
    assert public_key_of(private) == public
    assert public_key_problem(public) is None
    assert sign(private, text) == signature
    assert verifies(public, text, signature)
    assert not verifies(public, text + b"!", signature)
    assert not verifies(public, text, signature[:-1])


def test_fresh_keys_differ() -> None:
    """Each has a public key that can be used."""
    one, other = new_private_key(), new_private_key()
    assert one != other
    assert public_key_problem(public_key_of(one)) is None


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (bytes(31), "it has 31 bytes, not 32"),
        (bytes(32), "it has a small order, so anyone could sign for it"),
        ((2).to_bytes(32, "little"), "its bytes are not a point of the curve"),
    ],
)
def test_why_a_public_key_cannot_be_used(raw: bytes, problem: str) -> None:
    """The sentence of a refusal in keys.yaml says what is wrong with the bytes."""
    assert public_key_problem(raw) == problem
