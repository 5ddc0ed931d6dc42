from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.model.sources import Network
from crm_core.server.source import is_operator, peer_of, scheme_of, source_of

PROXIES: tuple[Network, ...] = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"), "unix")
HEADERS = st.lists(st.text(alphabet=st.characters(max_codepoint=255)), max_size=4)


def arrived(peer: str | None, *forwarded: str) -> tuple[str, list[tuple[bytes, bytes]]]:
    """The peer and the header fields of a request."""
    scope = {"client": None if peer is None else (peer, 4711)}
    return peer_of(scope), [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("192.0.2.1", (), "192.0.2.1"),
        ("192.0.2.1", ("198.51.100.7",), "192.0.2.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.7",), "198.51.100.7"),
        ("10.0.0.1", ("203.0.113.9, 198.51.100.7, 10.0.0.2",), "198.51.100.7"),
        ("10.0.0.1", ("203.0.113.9", "198.51.100.7"), "198.51.100.7"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("10.0.0.1", ("[2001:db8::1]:443",), "2001:db8::1"),
        ("10.0.0.1", ("198.51.100.7:443",), "198.51.100.7"),
        ("10.0.0.1", ("2001:db8::1, 2001:db8:ffff::1",), "2001:db8::1"),
        ("10.0.0.1", ("198.51.100.7, unknown",), None),
        ("10.0.0.1", ("198.51.100.7, 1.2.3",), None),
        ("10.0.0.1", ("::ffff:198.51.100.7, ::ffff:10.0.0.2",), "198.51.100.7"),
        ("::ffff:10.0.0.1", ("2001:DB8::0:1",), "2001:db8::1"),
        ("::ffff:192.0.2.1", (), "192.0.2.1"),
        ("fe80::1%eth0", (), "fe80::1"),
        ("10.0.0.1", ("unix",), None),
        ("10.0.0.1", (" , ",), "10.0.0.1"),
        ("10.0.0.1", ("\xff\xfe",), None),
        (None, (), "unix"),
        (None, ("198.51.100.7",), "198.51.100.7"),
    ],
)
def test_the_rightmost_address_that_no_proxy_vouches_for(
    peer: str | None, forwarded: tuple[str, ...], source: str | None
) -> None:
    """Only what trusted proxies wrote counts, and of it the part that anybody could have written does not."""
    assert source_of(*arrived(peer, *forwarded), PROXIES) == source


def test_without_proxies_the_peer_is_the_source() -> None:
    """Without trusted proxies no header counts."""
    assert source_of(*arrived(None, "198.51.100.7"), ()) == "unix"
    assert source_of(*arrived("::1", "198.51.100.7"), ()) == "::1"


@given(HEADERS, st.sampled_from(["203.0.113.1", None]))
def test_only_a_proxy_can_say_where_a_request_comes_from(sent: list[str], peer: str | None) -> None:
    """The header of any other client is ignored."""
    assert source_of(*arrived(peer, *sent), PROXIES[:2]) == (peer or "unix")


@given(HEADERS)
def test_behind_a_proxy_no_client_can_pose_as_another(sent: list[str]) -> None:
    """The proxy appends the address it saw; that is the source."""
    assert source_of(*arrived("10.0.0.1", *sent, "198.51.100.7"), PROXIES) == "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "allowed"),
    [
        ("127.0.0.1", (), True),
        ("192.0.2.1", (), False),
        ("127.0.0.1", ("127.0.0.1",), False),
        ("10.0.0.1", ("127.0.0.1",), True),
        ("10.0.0.1", ("127.0.0.1, 192.0.2.1",), False),
        ("10.0.0.1", ("nonsense",), False),
        (None, (), False),
        (None, ("127.0.0.1",), True),
    ],
)
def test_operators(peer: str | None, forwarded: tuple[str, ...], allowed: bool) -> None:
    """A request through an untrusted proxy is never an operator's, regardless of the proxy's address."""
    networks = (ip_network("127.0.0.0/8"),)
    assert is_operator(*arrived(peer, *forwarded), proxies=PROXIES, operators=networks) is allowed


@pytest.mark.parametrize(
    ("peer", "stated", "scheme"),
    [
        ("192.0.2.1", ("https",), "http"),
        ("10.0.0.1", (), "http"),
        ("10.0.0.1", ("https",), "https"),
        ("10.0.0.1", ("https", "http"), "http"),
        ("10.0.0.1", ("http", "https"), "https"),
        ("10.0.0.1", ("gopher",), "http"),
        ("unix", ("https",), "https"),
    ],
)
def test_the_scheme_is_what_the_last_proxy_states(peer: str, stated: tuple[str, ...], scheme: str) -> None:
    """Only a trusted proxy is believed, and of several fields the one that it added behind the client's."""
    headers = [(b"x-forwarded-proto", value.encode()) for value in stated]
    assert scheme_of({"scheme": "http", "headers": headers}, peer, PROXIES) == scheme
