"""Content negotiation by Accept and Accept-Encoding."""

from __future__ import annotations

import pytest

from crm_core.web.accept import preferred, prefers_gzip

OFFERED = ("application/json", "application/x-ndjson", "text/csv")
PAGE = ("application/problem+json", "application/json", "text/html")


@pytest.mark.parametrize(
    ("sent", "chosen"),
    [
        ("application/json;charset=UTF-8", "application/json"),
        ("APPLICATION/JSON ; Charset=utf-8", "application/json"),
        ('application/json; profile="https://example.com/a,b;q=0"', "application/json"),
        ('text/csv; header="a\\"b,c"; q=0.9, application/json; q=0.1', "text/csv"),
        ("text/csv;charset=utf-8;header=present;q=0.5, application/json;q=0.1", "text/csv"),
        ("application/json;odata=verbose;q=0.2, application/json;q=0.6, text/csv;q=0.5", "application/json"),
        ("text/csv;q=0.5;ext=1", "text/csv"),
        ("text/csv;Q=0.5, application/x-ndjson;q=0.4", "text/csv"),
        ("text/csv, */*", "text/csv"),
        ("text/*, */*", "text/csv"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/html, image/gif, *; q=.2, */*; q=.2", "application/json"),
        ("*", "application/json"),
        ("text/csv;q=1.5, application/json", "application/json"),
        (",, ,text/csv", "text/csv"),
        (" , ", "application/json"),
    ],
)
def test_the_preferred_media_type_regardless_of_parameters(sent: str, chosen: str) -> None:
    """Parameters select nothing, weights decide, and a type that is named comes before one that a wildcard matches."""
    assert preferred([sent], OFFERED) == chosen


@pytest.mark.parametrize(
    "sent",
    ["*/*;q=0", "application/json;q=0", "*/*;q=0.000", "image/png;charset=utf-8", "json", '"', "text/csv;q=", "*/csv"],
)
def test_nothing_that_is_offered_is_accepted(sent: str) -> None:
    """A weight of 0 excludes, and a range that names no offered type accepts none."""
    assert preferred([sent], OFFERED) is None


@pytest.mark.parametrize("weight", [".", "nan", "inf", "-1", "1e3", "0x1", "\u0661", "1_0", "9" * 400])
def test_a_weight_that_is_no_number_excludes(weight: str) -> None:
    """Python's own number syntax is none of HTTP's."""
    assert preferred([f"text/csv;q={weight}, application/json;q=0.1"], OFFERED) == "application/json"


def test_fields_are_one_list() -> None:
    """Several Accept fields count as one, in order (RFC 9110, section 5.3)."""
    assert preferred(["text/csv;q=0.2", "application/x-ndjson;q=0.3"], OFFERED) == "application/x-ndjson"
    assert preferred([], OFFERED) == "application/json"


@pytest.mark.parametrize(
    ("sent", "chosen"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("*/*", "application/problem+json"),
        ("text/html;q=0, */*", "application/problem+json"),
        ("application/json, text/html;q=0.5", "application/json"),
        ("application/problem+json, text/html;q=0.5", "application/problem+json"),
        ("image/png", None),
    ],
)
def test_browsers_prefer_pages_and_clients_problems(sent: str, chosen: str | None) -> None:
    """The fields that browsers, curl and clients of the API send."""
    assert preferred([sent], PAGE) == chosen


@pytest.mark.parametrize(
    ("sent", "accepted"),
    [
        (["gzip, deflate, br"], True),
        (["GZIP;q=0.5"], True),
        (["br", "*"], True),
        (["gzip;q=0, *"], False),
        (["identity"], False),
        (["x-gzip-not"], False),
        (["gzip;q=0.1, identity"], False),
        (["gzip;q=0.1", "*;q=0.5"], False),
        (["gzip;q=0.5, identity;q=0.5"], True),
        (["gzip, identity;q=0.5, *;q=0"], True),
        (["identity;q=0, gzip;q=0.1"], True),
        ([], False),
    ],
)
def test_a_coding_that_is_accepted_and_preferred(sent: list[str], accepted: bool) -> None:
    """A weight of 0 excludes gzip, a higher one of identity comes first, and x-gzip-not is another coding."""
    assert prefers_gzip(sent) is accepted
