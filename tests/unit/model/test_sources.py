from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from crm_core.model.sources import counted_as, plain_address, plain_network, within


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.0.0.1", False),
        ("::1", True),
        ("::2", False),
        ("unix", False),
        ("garbage", False),
        (None, False),
    ],
)
def test_sources(source: str | None, allowed: Any) -> None:
    """A source counts by its address, an IPv4 address written as IPv6 too; an unknown one is nowhere."""
    assert within(source, (ip_network("10.0.0.0/8"), ip_network("::1/128"))) is allowed


def test_socket_peers_are_named_unix() -> None:
    """Peers of a unix socket are allowed by the word unix alone."""
    assert within("unix", ("unix",))
    assert not within("10.0.0.1", ("unix",))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2", None),
        ("...", None),
        ("\u0661.2.3.4", None),
        ("unix", None),
        ("", None),
    ],
)
def test_an_address_has_one_spelling(text: str, plain: str | None) -> None:
    """An IPv4 address written as IPv6 is the IPv4 address, and what is no address has none."""
    plain_address.cache_clear()
    assert plain_address(text) == plain


@pytest.mark.parametrize(
    ("source", "group"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
        ("1.2.3", "unknown"),
        (None, "unknown"),
    ],
)
def test_limits_count_by_the_network_that_one_customer_has(source: str | None, group: str) -> None:
    """An IPv4 address alone, also one written as IPv6; of IPv6 the /64."""
    assert counted_as(source) == group


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:192.0.2.1", "192.0.2.1/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:0:0/95", "::fffe:0:0/95"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_a_network_of_ipv4_addresses_is_one_of_ipv4(text: str, network: str) -> None:
    """Else none of its addresses would be in it, since each counts as the IPv4 address."""
    assert plain_network(text, strict=text != "::ffff:0:0/95") == ip_network(network)


def test_bits_beyond_the_mask_are_refused() -> None:
    """By a ValueError, also where the network is written as IPv6."""
    for text in ("10.0.0.1/8", "::ffff:10.0.0.1/104", "nonsense"):
        with pytest.raises(ValueError, match=r"host bits|appear"):
            plain_network(text)
