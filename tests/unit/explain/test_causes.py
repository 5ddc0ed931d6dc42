from __future__ import annotations

import re
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest

from crm_core.explain.captures import read_capture
from crm_core.explain.explanation import Explanation, ReceiverRules
from crm_core.explain.walk import explain
from crm_core.model.keys import Key, Roster, TenantRoster
from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import Registry, build_registry
from crm_core.settings.sync import SyncSettings
from crm_core.sync.checks import Check

CAPTURES = Path(__file__).parent / "captures"
AT = datetime.fromtimestamp(1790000000, UTC)
NOW = datetime.fromtimestamp(1790100000, UTC)
ROSTER = Roster(
    {
        "northwind": TenantRoster(keys={2: Key(2, bytes(range(1, 33))), 3: Key(3, bytes(range(3, 35)))}),
        "contoso": TenantRoster(keys={1: Key(1, bytes(range(9, 41)))}),
    }
)


@pytest.fixture(scope="session")
def registry() -> Registry:
    host = PluginHost()
    host.load_entry_points()
    return build_registry(host)


def explained(
    name: str,
    registry: Registry,
    *,
    roster: Roster = ROSTER,
    at: datetime | None = AT,
    url: str | None = None,
    body: bytes | None = None,
    source: str | None = None,
) -> Explanation:
    """The explanation of a capture in the folder."""
    raw = (CAPTURES / name).read_bytes()
    captured = read_capture(raw, url=url, body=body, read_file=lambda file: (CAPTURES / file).read_bytes())
    receiver = ReceiverRules(
        instance="eu1", instances=("us2",), settings=SyncSettings(), roster=roster, registry=registry
    )
    return explain(captured, receiver, at=at, now=NOW, source=source)


def failed(explanation: Explanation) -> list[str | None]:
    return [check.code for check in explanation.checks if check.verdict == "failed"]


CAUSES = [
    ("body-with-spaces.http", "signature_invalid", ["body_reserialised"]),
    ("body-sorted-indented.http", "signature_invalid", ["body_reserialised"]),
    ("body-php.http", "signature_invalid", ["body_reserialised"]),
    ("body-go.http", "signature_invalid", ["body_reserialised"]),
    ("secret-as-hex-text.http", "signature_invalid", ["secret_undecoded"]),
    ("secret-as-base64-text.http", "signature_invalid", ["secret_undecoded"]),
    ("secret-whole-reference.http", "signature_invalid", ["secret_undecoded"]),
    ("secret-with-line-end.http", "signature_invalid", ["secret_line_end"]),
    ("text-wrong-tenant.http", "signature_invalid", ["wrong_tenant"]),
    ("text-wrong-instance.http", "signature_invalid", ["wrong_instance"]),
    ("text-wrong-type.http", "signature_invalid", ["wrong_type"]),
    ("text-milliseconds.http", "signature_invalid", ["milliseconds"]),
    ("header-milliseconds.http", "signature_invalid", ["milliseconds", "milliseconds"]),
    ("all-milliseconds.http", "timestamp_out_of_window", ["milliseconds"]),
    ("clock-behind.http", "timestamp_out_of_window", ["clock_skew"]),
    ("clock-ahead.http", "timestamp_out_of_window", ["clock_skew"]),
    ("text-trailing-newline.http", "signature_invalid", ["trailing_newline"]),
    ("body-trailing-newline.http", "signature_invalid", ["trailing_newline"]),
    ("body-sent-with-newline.http", "signature_invalid", ["trailing_newline"]),
    ("body-line-ends.http", "signature_invalid", ["line_ends"]),
    ("signature-upper-case.http", "signature_malformed", ["upper_case_hex"]),
    ("hash-upper-case.http", "signature_invalid", ["upper_case_hex"]),
    ("signed-with-another-key.http", "signature_invalid", ["wrong_key_version"]),
    ("text-names-another-key.http", "signature_invalid", ["wrong_key_version"]),
    ("unknown-key-version.http", "key_unknown", ["wrong_key_version"]),
    ("another-tenants-key.http", "signature_invalid", ["wrong_tenant"]),
    ("proxy-changed-body.http", "signature_invalid", ["body_changed"]),
    ("another-secret.http", "signature_invalid", ["body_changed"]),
    ("signature-in-base64.http", "signature_malformed", ["signature_form"]),
    ("signature-without-v1.http", "signature_malformed", ["signature_form"]),
    ("body-alone-signed.http", "signature_invalid", ["wrong_part"]),
    ("data-alone-signed.http", "signature_invalid", ["wrong_part"]),
    ("lines-joined-by-backslash-n.http", "signature_invalid", ["line_ends"]),
    ("two-mistakes.http", "signature_invalid", ["secret_undecoded", "body_reserialised"]),
    ("another-instances-address.http", "misdirected_instance", ["wrong_instance"]),
    ("unknown-type.http", "unknown_payload_type", ["wrong_type"]),
    ("webhook-secret-undecoded.http", "signature_invalid", ["secret_undecoded"]),
    ("webhook-body-reserialised.http", "signature_invalid", ["body_reserialised"]),
    ("webhook-milliseconds.http", "timestamp_out_of_window", ["milliseconds"]),
    ("rfc9421-body-changed.http", "signature_invalid", ["body_changed"]),
    ("rfc9421-body-reserialised.http", "signature_invalid", ["body_reserialised"]),
    ("rfc9421-host-changed.http", "signature_invalid", ["proxy_changed_host"]),
    ("rfc9421-wrong-tenant-path.http", "signature_invalid", ["wrong_tenant"]),
    ("rfc9421-path-cut.http", "signature_invalid", ["proxy_changed_path"]),
    ("data-drops-line-ends.curl", "signature_invalid", ["body_reserialised"]),
]


@pytest.mark.parametrize(("name", "code", "causes"), CAUSES)
def test_each_cause_is_found(registry: Registry, name: str, code: str, causes: list[str]) -> None:
    """A captured request with a mistake is explained by it, and by nothing else."""
    explanation = explained(name, registry)
    assert failed(explanation)[0] == code
    assert [cause.code for cause in explanation.causes] == causes
    assert all(cause.words.endswith(".") and cause.fix.endswith(".") for cause in explanation.causes)


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("good.http", "crm-sync-v1"),
        ("good.curl", "crm-sync-v1"),
        ("signed-health.http", "crm-sync-v1"),
        ("webhook-good.http", "standard-webhooks"),
        ("rfc9421-good.http", "rfc9421"),
    ],
)
def test_a_right_request_passes(registry: Registry, name: str, scheme: str) -> None:
    """Nothing fails, no cause is invented, and what only the server knows is unknown."""
    explanation = explained(name, registry)
    assert not explanation.refused
    assert explanation.causes == ()
    assert explanation.scheme == scheme
    assert str(explanation.key).startswith("northwind:2 (sha256:")
    unknown = {one.check for one in explanation.checks if one.verdict == "unknown"}
    assert unknown <= {Check.NONCE, *list(Check)[Check.ENVELOPE.number :]}


def test_a_push_is_explained_by_all_checks_in_order(registry: Registry) -> None:
    """The explanation has the sixteen checks of the receiver; that of a health request those that concern it."""
    assert [one.check for one in explained("good.http", registry).checks] == list(Check)
    health = [one.check for one in explained("signed-health.http", registry).checks]
    assert health == [Check.ADDRESS, *list(Check)[3:9]]


def test_two_mistakes_are_found_among_many_tenants(registry: Registry) -> None:
    """Both are found in a roster of thousands of keys."""
    many = {f"t{at}": TenantRoster(keys={1: Key(1, at.to_bytes(32, "big"))}) for at in range(3000)}
    explanation = explained("two-mistakes.http", registry, roster=Roster({**many, **ROSTER.tenants}))
    assert [cause.code for cause in explanation.causes] == ["secret_undecoded", "body_reserialised"]


def test_the_page_names_every_cause() -> None:
    """docs/explain.md lists each cause."""
    page = (Path(__file__).parents[3] / "docs/explain.md").read_text()
    named = set(re.findall(r"`([a-z0-9_]+)`", page))
    assert {cause for _, _, causes in CAUSES for cause in causes} <= named
    sources = (Path(__file__).parents[3] / "crm_core/explain").glob("*.py")
    codes = {code for path in sources for code in re.findall(r'Cause\(\s*"([a-z0-9_]+)"', path.read_text())}
    assert codes <= named


def test_the_right_text_to_sign_is_shown(registry: Registry) -> None:
    """It is the text that the receiver checks, with the hash of the received body."""
    explanation = explained("text-wrong-tenant.http", registry)
    lines = ["crm-sync-v1", "eu1", "northwind", "branding", "2", "1790000000", "n0nce-0123456789abcdef"]
    assert explanation.signed_text == "\n".join([*lines, explanation.body_sha256]).encode()


def test_headers_with_a_separate_body(registry: Registry) -> None:
    """Headers as tools print them need a URL and a body from elsewhere."""
    url = "https://crm.example/i/eu1/t/northwind/api/v1/sync/branding"
    explanation = explained("headers.txt", registry, url=url, body=(CAPTURES / "pretty.json").read_bytes())
    assert not explanation.refused
    changed = explained("headers.txt", registry, url=url, body=b"{}")
    assert [cause.code for cause in changed.causes] == ["body_changed"]


def test_what_curl_does_to_a_body_is_noted(registry: Registry) -> None:
    """--data with a file drops its line ends: the body is what curl sends, and a note gives the reason."""
    explanation = explained("data-drops-line-ends.curl", registry)
    assert explanation.notes == ("curl --data drops the line ends of a file; --data-binary sends the bytes unchanged.",)


def test_an_old_capture_may_have_been_in_time(registry: Registry) -> None:
    """If the time of the push is unknown, no timestamp in the past is refused."""
    old = explained("good.http", registry, at=None)
    assert not old.refused
    assert "100000 seconds old" in next(one.detail for one in old.checks if one.check is Check.TIMESTAMP)
    ahead = explained("clock-ahead.http", registry, at=None)
    assert not ahead.refused


@pytest.mark.parametrize(
    ("key", "source", "verdict", "code"),
    [
        (Key(2, bytes(range(1, 33)), sources=(ip_network("10.0.0.0/8"),)), None, "unknown", None),
        (Key(2, bytes(range(1, 33)), sources=(ip_network("10.0.0.0/8"),)), "10.1.2.3", "passed", None),
        (Key(2, bytes(range(1, 33)), sources=(ip_network("10.0.0.0/8"),)), "11.1.2.3", "failed", "source_not_allowed"),
        (Key(2, bytes(range(1, 33)), types=frozenset({"features"})), None, "failed", "type_not_allowed"),
    ],
)
def test_the_limits_of_a_key_are_checked(
    registry: Registry, key: Key, source: str | None, verdict: str, code: str | None
) -> None:
    """A key's networks and sections are checked as far as the source is known."""
    roster = Roster({"northwind": TenantRoster(keys={2: key})})
    explanation = explained("good.http", registry, roster=roster, source=source)
    (found,) = [one for one in explanation.checks if one.check is Check.KEY_LIMITS]
    assert (found.verdict, found.code) == (verdict, code)


@pytest.mark.parametrize(
    ("entry", "codes"),
    [
        (None, ["receiver_disabled", "key_unknown"]),
        (TenantRoster(enabled=False, keys={2: Key(2, bytes(range(1, 33)))}), ["receiver_disabled"]),
        (TenantRoster(keys={2: Key(2, bytes(range(1, 33)), revoked=True)}), ["key_inactive"]),
        (TenantRoster(keys={2: Key(2, bytes(range(1, 33)), schemes=frozenset({"rfc9421"}))}), ["scheme_not_accepted"]),
        (TenantRoster(schemes=frozenset({"rfc9421"}), keys={2: Key(2, bytes(range(1, 33)))}), ["scheme_not_accepted"]),
    ],
)
def test_what_the_roster_does_not_allow_fails(registry: Registry, entry: TenantRoster | None, codes: list[str]) -> None:
    """A tenant without an entry, a receiver that is off, a revoked key, a scheme that is not accepted."""
    roster = Roster({} if entry is None else {"northwind": entry})
    assert failed(explained("good.http", registry, roster=roster)) == codes


def test_a_public_key_is_never_tried_as_a_secret(registry: Registry) -> None:
    """A signature made with the bytes of a public key is a forgery, not a mistake to explain."""
    tenants = {
        name: TenantRoster(keys={2: Key(2, bytes(range(1, 33)), kind="public")}) for name in ("northwind", "contoso")
    }
    explanation = explained("good.http", registry, roster=Roster(tenants))
    assert failed(explanation) == ["scheme_not_accepted"]
    assert explanation.key is None
    assert [cause.code for cause in explanation.causes] == ["body_changed"]
