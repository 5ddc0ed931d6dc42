from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.errors import InternalError
from crm_core.workspace.sealing import Sealer

OLD, NEW = b"o" * 32, b"n" * 32


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_was_sealed_opens_again(text: str) -> None:
    """For the same purpose; the sealed form shows nothing of it, and no two are alike."""
    sealer = Sealer([NEW])
    sealed = sealer.seal("mail", text)
    assert sealer.open("mail", sealed) == text
    assert sealed != sealer.seal("mail", text)
    assert len(text) < 8 or text not in sealed


def test_another_purpose_does_not_open_it() -> None:
    """A value that is moved to another place is no secret of that place."""
    sealer = Sealer([NEW])
    with pytest.raises(InternalError):
        sealer.open("other", sealer.seal("mail", "secret"))


def test_keys_rotate() -> None:
    """The first seals, all open; once the old one is gone, what it sealed is reported to be lost, and how to fix it."""
    old, both, new = Sealer([OLD]), Sealer([NEW, OLD]), Sealer([NEW])
    assert both.open("mail", old.seal("mail", "secret")) == "secret"
    assert new.open("mail", both.seal("mail", "secret")) == "secret"
    with pytest.raises(InternalError, match="secret_key"):
        new.open("mail", old.seal("mail", "secret"))


@pytest.mark.parametrize("sealed", ["", ".", "abc", "abc.def", "é.ü", "AAAAAAAAAAAAAAAAAAAAAA==.gAAAAA"])
def test_a_damaged_value_is_reported_cleanly(sealed: str) -> None:
    """No other exception, regardless of the stored text."""
    with pytest.raises(InternalError):
        Sealer([NEW]).open("mail", sealed)


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_fingerprints_know_content_again_and_differ_between_instances(content: bytes, other: bytes) -> None:
    """The newest key's comes first; another key's says nothing about it."""
    digest, another = (hashlib.sha256(each).hexdigest() for each in (content, other))
    both = Sealer([NEW, OLD]).fingerprints(digest)
    assert both == [*Sealer([NEW]).fingerprints(digest), *Sealer([OLD]).fingerprints(digest)]
    assert both[0] != both[1]
    assert (Sealer([NEW]).fingerprints(another) == both[:1]) is (content == other)
