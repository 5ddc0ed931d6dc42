from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.server.source import peer_of, source_of

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))


def source(peer: str | None, *forwarded: str, proxies: Any = PROXIES) -> str | None:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return source_of(peer_of({"client": None if peer is None else (peer, 4711)}), headers, proxies)


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("192.0.2.1", (), "192.0.2.1"),
        ("192.0.2.1", ("198.51.100.1",), "192.0.2.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("203.0.113.5, 198.51.100.1, 10.9.9.9",), "198.51.100.1"),
        ("10.0.0.1", ("203.0.113.5", "198.51.100.1"), "198.51.100.1"),
        ("10.0.0.1", ("198.51.100.1:443",), "198.51.100.1"),
        ("10.0.0.1", ("[2001:db8::1]:443",), "2001:db8::1"),
        ("10.0.0.1", ("2001:db8::1, 2001:db8:ffff::1",), "2001:db8::1"),
        ("10.0.0.1", ("198.51.100.1, unknown",), None),
        ("10.0.0.1", (" , ,",), "10.0.0.1"),
        (None, ("198.51.100.1",), "unix"),
    ],
)
def test_the_rightmost_address_that_is_no_proxy_is_the_source(
    peer: str | None, forwarded: tuple[str, ...], found: str | None
) -> None:
    """Any client could have written the addresses to the left of it."""
    assert source(peer, *forwarded) == found


def test_peers_of_a_socket_are_believed_where_they_are_named() -> None:
    """``unix`` among the trusted proxies."""
    assert source(None, "198.51.100.1", proxies=("unix",)) == "198.51.100.1"


@given(st.lists(st.text(alphabet=st.characters(max_codepoint=255)), max_size=4), st.sampled_from(["203.0.113.1", None]))
def test_only_a_proxy_can_say_where_a_request_comes_from(sent: list[str], peer: str | None) -> None:
    """The header of any other client is ignored."""
    assert source(peer, *sent) == (peer or "unix")


@given(st.lists(st.text(alphabet=st.characters(max_codepoint=255)), max_size=4))
def test_behind_a_proxy_no_client_can_pose_as_another(sent: list[str]) -> None:
    """The proxy appends the address it saw; that is the source."""
    assert source("10.0.0.1", *sent, "198.51.100.7") == "198.51.100.7"
