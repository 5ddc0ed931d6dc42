from __future__ import annotations

import base64
import importlib
import json
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crm_core.errors import SignatureMalformed
from crm_core.testing.signature import (
    KEY,
    NONCE,
    OTHER_KEY,
    TIMESTAMP,
    SchemeSuite,
    accepts,
    push_request,
    with_headers,
)
from crm_standard_webhooks.hooks import crm_register_signature_schemes
from crm_standard_webhooks.scheme import StandardWebhooks

CASES = json.loads((Path(__file__).parent / "vectors/standard-webhooks.json").read_text())["cases"]
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class TestStandardWebhooks(SchemeSuite):
    scheme_class = StandardWebhooks


class TestStandardWebhooksOfPairs(SchemeSuite):
    scheme_class = StandardWebhooks
    key_kind = "public"


def signed_by(library: Any, body: str = '{"n":"Zürich"}', nonce: str = "msg_1") -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = library.Webhook(SECRET).sign(nonce, datetime.fromtimestamp(TIMESTAMP, UTC), body)
    headers = {"webhook-id": nonce, "webhook-timestamp": str(TIMESTAMP), "webhook-signature": signature}
    return with_headers(push_request(body.encode()), headers)


def with_signatures(text: str) -> Any:
    headers = {"webhook-id": NONCE, "webhook-timestamp": str(TIMESTAMP), "webhook-signature": text}
    return with_headers(push_request(), headers)


def good_entry(key: bytes = KEY) -> str:
    return StandardWebhooks().sign(push_request(), key, 1, TIMESTAMP, NONCE)["webhook-signature"]


def test_the_package_offers_one_scheme() -> None:
    """The hook registers the scheme under its name in the roster."""
    assert [scheme.NAME for scheme in crm_register_signature_schemes()] == ["standard-webhooks"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_published_vectors_are_reproduced(case: dict[str, Any]) -> None:
    """Signing gives the headers of each vector, and each vector verifies."""
    scheme, key = StandardWebhooks(), base64.b64decode(case["secret"].removeprefix("whsec_"))
    plain, headers = push_request(case["body"].encode()), case["headers"]
    assert scheme.sign(plain, key, 2, int(headers["webhook-timestamp"]), headers["webhook-id"]) == headers
    assert accepts(scheme, with_headers(plain, headers), key)
    assert not accepts(scheme, with_headers(plain, headers), OTHER_KEY)


@pytest.mark.parametrize("name", ["standardwebhooks", "svix"])
def test_signatures_of_the_reference_libraries_match(name: str) -> None:
    """Pushes signed with the libraries of senders match under their key only."""
    library = importlib.import_module(name)
    assert accepts(StandardWebhooks(), signed_by(library), KEY)
    assert not accepts(StandardWebhooks(), signed_by(library), OTHER_KEY)


@pytest.mark.parametrize(
    "text",
    [
        "{good}",
        "{other} {good}",
        "{good} {other}",
        "v1a,c2ln {good}",
        "v2,&&& {good}",
        "nonsense {good}",
        "v1,&&& {good}",
        "v1, {good}",
        "  {good}  ",
        "v1,ä {good}",
    ],
)
def test_a_good_entry_is_found_among_others(text: str) -> None:
    """A matching entry is found among entries of other keys and versions, and malformed ones."""
    assert accepts(
        StandardWebhooks(), with_signatures(text.format(good=good_entry(), other=good_entry(OTHER_KEY))), KEY
    )


@pytest.mark.parametrize("text", ["v2,{good}", "v1a,{good}", "v1,AAAA", "V1,{good}", "v1,{good}"])
def test_a_list_without_a_match_is_not_malformed(text: str) -> None:
    """A well-formed list without a match does not match, but is no error."""
    request = with_signatures(text.format(good=good_entry().removeprefix("v1,").rstrip("=")))
    scheme = StandardWebhooks()
    assert scheme.matches(request, scheme.read(request), KEY) is False


@pytest.mark.parametrize("text", ["", " ", "v1", "v1,", ",", "v1,&&&", "nonsense", "v1,AA\nAA", "v1," + "A" * 9000])
def test_a_list_without_any_entry_is_malformed(text: str) -> None:
    """A header without any version and signature is malformed."""
    with pytest.raises(SignatureMalformed):
        StandardWebhooks().read(with_signatures(text))


def test_another_last_character_does_not_match() -> None:
    """Base64 that differs only in unused bits does not match, though it decodes to the same bytes."""
    entry = good_entry()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = entry[:-2] + alphabet[alphabet.index(entry[-2]) + 1] + "="
    assert base64.b64decode(twin[3:]) == base64.b64decode(entry[3:])
    assert not accepts(StandardWebhooks(), with_signatures(twin), KEY)


@pytest.mark.parametrize("message_id", ["", "a.b", "a b", "a" * 257, "ä", "a\x7f", "a\n", "\t"])
def test_an_ambiguous_id_is_malformed(message_id: str) -> None:
    """An id with a dot, a space or an unprintable character, or over 256 characters, is refused."""
    request = with_headers(
        push_request(),
        {"webhook-id": message_id, "webhook-timestamp": str(TIMESTAMP), "webhook-signature": good_entry()},
    )
    with pytest.raises(SignatureMalformed):
        StandardWebhooks().read(request)


@pytest.mark.parametrize("message_id", ["a", "a" * 256, "!~-/,;"])
def test_any_other_printable_id_is_accepted(message_id: str) -> None:
    """An id may be any printable ASCII without dot and space."""
    plain = push_request()
    headers = StandardWebhooks().sign(plain, KEY, 1, TIMESTAMP, message_id)
    assert StandardWebhooks().read(with_headers(plain, headers)).nonce == message_id


@pytest.mark.parametrize("timestamp", ["", "-1", "+1", "01", "1.0", "1e9", "\u0661", "1" * 16, " 1"])
def test_a_timestamp_is_plain_digits(timestamp: str) -> None:
    """A timestamp in any form but plain ASCII digits is malformed."""
    headers = {"webhook-id": NONCE, "webhook-timestamp": timestamp, "webhook-signature": good_entry()}
    with pytest.raises(SignatureMalformed):
        StandardWebhooks().read(with_headers(push_request(), headers))


def test_it_names_no_key() -> None:
    """The scheme names no key, so that each active key can be tried."""
    scheme = StandardWebhooks()
    request = with_signatures(f"{good_entry(OTHER_KEY)} {good_entry()}")
    presented = scheme.read(request)
    assert presented.key_version is None
    assert scheme.matches(request, presented, KEY)
    assert scheme.matches(request, presented, OTHER_KEY)
    assert not scheme.matches(msgspec.structs.replace(request, body=b"x"), presented, KEY)


@pytest.mark.parametrize("version", ["v1a", "v1x", "v11", "v2", "V1", ""])
def test_a_mac_under_another_entry_version_does_not_match(version: str) -> None:
    """A MAC that is right for v1 counts as nothing under any other version, v1a least of all."""
    mac = good_entry().partition(",")[2]
    request = with_signatures(f"v1,{'A' * 43}= {version},{mac}")
    assert not StandardWebhooks().matches(request, StandardWebhooks().read(request), KEY)
