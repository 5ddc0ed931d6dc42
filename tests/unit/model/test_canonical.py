from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.model.canonical import canonical, without_form
from crm_core.model.log import LogEntry, LoggedFinding, hashed_text

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**54), 2**54) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
)


@given(values)
def test_what_has_no_canonical_form_is_found_before_it_is_asked_for(value: Any) -> None:
    """Exactly the values in which no integer is found have one."""
    if list(without_form(value)):
        with pytest.raises(ValueError):  # noqa: PT011 -- that there is none is all that counts
            canonical(value)
    else:
        canonical(value)


@given(texts, texts, st.integers(0, 2**53 - 1), st.lists(st.builds(LoggedFinding, texts, texts, texts), max_size=3))
def test_the_text_that_the_chain_hashes_is_the_canonical_form(
    message: str, source: str, seq: int, findings: list[LoggedFinding]
) -> None:
    """A reader recomputes the hash of an entry, with and without errors, with any RFC 8785 library."""
    entry = LogEntry(
        id="i",
        received_at="t",
        instance="e",
        tenant="n",
        status="rejected",
        signature_result="valid",
        request_id="r",
        seq=seq,
        error_message=message,
        source_ip=source,
        errors=tuple(findings) or msgspec.UNSET,
    )
    hashes = ("prev_hash", "entry_hash")
    members = {name: value for name, value in msgspec.to_builtins(entry).items() if name not in hashes}
    assert ("errors" in members) == bool(findings)
    assert hashed_text(entry) == canonical(members)
