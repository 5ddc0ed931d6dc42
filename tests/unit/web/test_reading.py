from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from crm_core.errors import NotAcceptable, PayloadTooLarge
from crm_core.web.reading import accepted
from crm_core.web.request import Request, request_of

OFFERED = ("application/json", "application/x-ndjson", "text/csv")


def request(*headers: tuple[str, str], chunks: tuple[bytes, ...] = (), peer: str = "192.0.2.1", **more: Any) -> Request:
    """A request with these header fields, whose body comes in these parts."""

    async def parts() -> AsyncIterator[bytes]:
        for part in chunks:
            yield part

    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {
        "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": pairs, "scheme": "http",
        "client": (peer, 1),
    }  # fmt: skip
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return request_of(scope, parts, received_at=at, request_id="id-1", instance="eu1", **{"proxies": (), **more})


@pytest.mark.parametrize(
    ("sent", "chosen"),
    [
        ((), "application/json"),
        (("",), "application/json"),
        (("*/*",), "application/json"),
        (("text/csv",), "text/csv"),
        (("Text/CSV; charset=utf-8",), "text/csv"),
        (("text/html, text/*;q=0.5, */*;q=0.1",), "text/csv"),
        (("text/csv;q=0.2", "application/x-ndjson;q=0.3"), "application/x-ndjson"),
        (("application/json;q=0, */*",), "application/x-ndjson"),
        (("application/*, application/json;q=0.1",), "application/x-ndjson"),
        (("image/png",), None),
        (("*/*;q=0",), None),
        (("text/csv;q=much",), None),
    ],
)
def test_the_media_type_that_is_wanted_most(sent: tuple[str, ...], chosen: str | None) -> None:
    """The most specific range decides about a type (RFC 9110, section 12.5.1); without Accept the first type."""
    asked = request(*(("accept", value) for value in sent))
    if chosen is None:
        with pytest.raises(NotAcceptable):
            accepted(asked, OFFERED)
    else:
        assert accepted(asked, OFFERED) == chosen


@given(st.lists(st.tuples(st.sampled_from((*OFFERED, "image/png")), st.integers(1, 9)), unique_by=lambda each: each[0]))
def test_plain_types_are_chosen_as_others_choose_them(wanted: list[tuple[str, int]]) -> None:
    """Werkzeug, which knows Accept as well, comes to the same; ties it breaks by the order of the field."""
    if len({quality for _, quality in wanted}) < len(wanted) or not wanted:
        return
    field = ", ".join(f"{kind};q=0.{quality}" for kind, quality in wanted)
    expected = parse_accept_header(field, MIMEAccept).best_match(OFFERED)
    if expected is None:
        with pytest.raises(NotAcceptable):
            accepted(request(("accept", field)), OFFERED)
    else:
        assert accepted(request(("accept", field)), OFFERED) == expected


async def test_a_body_is_read_up_to_its_limit() -> None:
    """Whether its length is announced or not, and never past the part that is one too many."""
    assert await request(chunks=(b"ab", b"cd")).read_body(4) == b"abcd"
    with pytest.raises(PayloadTooLarge):
        await request(chunks=(b"ab", b"cde")).read_body(4)
    with pytest.raises(PayloadTooLarge):
        await request(("content-length", "5")).read_body(4)


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("crm_session=a", "a"),
        ("x=1; crm_session=a=b ;y", "a=b"),
        ("crm_session=a; crm_session=b", "a"),
        ("crm_session", None),
    ],
)
def test_the_first_cookie_of_a_name_counts(field: str, found: str | None) -> None:
    """Pairs are separated by semicolons; anything else is ignored (RFC 6265, section 5.4)."""
    assert request(("cookie", field)).cookie("crm_session") == found


def test_only_a_trusted_proxy_says_how_a_client_came() -> None:
    """Of anyone else X-Forwarded-Proto is not believed, and of a proxy only http and https."""
    fields = (("host", "crm.example.com"), ("x-forwarded-proto", "https"))
    assert request(*fields).origin == "http://crm.example.com"
    proxies = (ip_network("192.0.2.0/24"),)
    assert request(*fields, proxies=proxies).origin == "https://crm.example.com"
    assert request(("x-forwarded-proto", "gopher"), proxies=proxies).scheme == "http"
