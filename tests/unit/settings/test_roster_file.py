from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.model.keys import Key, TenantRoster
from crm_core.settings.check import check
from crm_core.settings.roster import load_roster

KEY = "k" * 32


def one(secret: str, extra: str = "") -> str:
    """A roster of one key."""
    return f"tenants: {{northwind: {{keys: [{{version: 1, secret: {secret}{extra}}}]}}}}\n"


def test_a_full_entry(roster: Any) -> None:
    """Every member of the roster arrives in the values."""
    loaded = roster(
        """
        tenants:
          northwind:
            sync: disabled
            schemes: [crm-sync-v1]
            repeats: accept
            expect_every: 24h
            keys:
              - version: 2
                secret: env:NW
                not_before: 2026-11-01T00:00:00Z
                not_after: "2027-02-01 02:00:00.5+02:00"
                revoked: true
                types: [alpha]
                sources: [10.0.0.0/8, "::1/128", unix]
                schemes: [standard-webhooks]
          contoso:
        """,
        NW=KEY,
    )
    entry = loaded.tenants["northwind"]
    key = entry.keys[2]
    assert (entry.enabled, entry.schemes, entry.repeats) == (False, {"crm-sync-v1"}, "accept")
    assert entry.expect_every == timedelta(days=1)
    assert key.material == KEY.encode()
    assert key.not_before == datetime(2026, 11, 1, tzinfo=UTC)
    assert key.not_after == datetime(2027, 2, 1, 0, 0, 0, 500_000, tzinfo=UTC)
    assert key.revoked
    assert key.types == {"alpha"}
    assert key.sources == (ip_network("10.0.0.0/8"), ip_network("::1/128"), "unix")
    assert (key.schemes, key.kind) == ({"standard-webhooks"}, "secret")
    assert loaded.tenants["contoso"].enabled
    assert not loaded.tenants["contoso"].keys


def test_an_entry_as_short_as_can_be(roster: Any) -> None:
    """A tenant accepts pushes and no repeats, and its key every section, scheme and address, until it is revoked."""
    entry = roster("tenants: {a: {keys: [{version: 1, secret: env:K}]}}", K=KEY).tenants["a"]
    assert entry == TenantRoster(enabled=True, repeats="reject", keys={1: Key(version=1, material=KEY.encode())})
    assert roster("tenants: {a: {repeats: reject}}").tenants["a"].repeats == "reject"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "1:1: `tenants` is missing; add `tenants: {}`"),
        ("tenants: []", "1:10: expected tenants as `name: value`; here it is a list"),
        ("tenants: {a: []}", "1:14: expected the tenant's members as `name: value`; here it is a list"),
        (
            "tenants: {a: {schemes: [x]}}",
            "1:25: `x` is not a known signature scheme; known here: crm-sync-v1 or standard-webhooks",
        ),
        ("tenants: {a: {sync: on}}", "1:21: `on` is not a known word here; known here: disabled or enabled"),
        ("tenants: {a: {repeats: never}}", "1:24: `never` is not a known word here; known here: accept or reject"),
        ("tenants: {a: {keys: [[]]}}", "1:22: expected the key's members as `name: value`; here it is a list"),
        ("tenants: {a: {keys: [{version: 1}]}}", "1:22: `secret` is missing; add `secret: env:NAME`"),
        (one("env:K", ", types: []"), "1:65: the list needs at least 1; add one or leave the member out"),
        (one("env:K", ", types: [x]"), "1:66: `x` is not a known section; known here: alpha or beta"),
        (
            one("env:K", ", schemes: [x]"),
            "1:68: `x` is not a known signature scheme; known here: crm-sync-v1 or standard-webhooks",
        ),
        (one("env:K", ", sources: [unix, unix]"), "1:74: this network is in the list twice; remove one"),
        (
            one("env:K", f", public: 'ed25519:{KEY}'"),
            "1:51: a key has `secret` or `public`, not both; remove one of them",
        ),
        (
            one("env:K", ", not_before: 2026-11-01T00:00:00Z, not_after: 2026-11-01T00:00:00Z"),
            "1:103: not_after is not later than not_before; the key would never be active, swap them",
        ),
    ],
)
def test_the_sentence_of_a_mistake(roster: Any, problems: Any, text: str, said: str) -> None:
    """Each says what is wrong, where, and what to write."""
    assert f"keys.yaml:{said}" in problems(roster, text, K=KEY)


def test_versions_that_are_no_numbers_are_not_the_same(roster: Any, problems: Any) -> None:
    """Two wrong versions are two mistakes, each at its place."""
    text = "tenants: {a: {keys: [{version: x, secret: env:K}, {version: x, secret: env:L}]}}"
    reported = problems(roster, text, K=KEY, L="l" * 32)
    assert [line.partition(": ")[0] for line in reported] == ["keys.yaml:1:32", "keys.yaml:1:61"]


def test_a_reference_leads_to_a_reference_up_to_four_times(roster: Any, problems: Any) -> None:
    """A secret behind four of them is found, one behind five is not."""
    environ = {f"K{number}": f"env:K{number + 1}" for number in range(4)} | {"K4": KEY}
    assert roster(one("env:K1"), **environ).tenants["northwind"].keys[1].material == KEY.encode()
    assert "a chain that is too long" in problems(roster, one("env:K0"), **environ)[0]


def test_ten_mistakes_are_reported_together(roster: Any, problems: Any) -> None:
    """A roster with ten mistakes names all ten with line and column, and how to fix each."""
    text = """
        tenants:
          northwind:
            keys:
              - version: 1
                secret: env:GOOD
                not_afer: 2026-11-01T00:00:00Z
              - version: 1
                secret: hex:abcd
              - version: 3
                secret: env:UNSET
                not_after: 2026-13-01T00:00:00Z
              - version: 4
                secret: env:OTHER
                not_before: 2026-11-02T00:00:00Z
                not_after: 2026-11-01T00:00:00Z
          contoso:
            keys:
              - version: one
                secret: env:GOOD
                types: [alhpa]
          northwind: {}
        """
    reported = problems(roster, text, GOOD=KEY, OTHER="o" * 32)
    expected = [
        ("keys.yaml:6:9: ", "unknown member `not_afer`; did you mean `not_after`?"),
        ("keys.yaml:7:18: ", "version 1 is used in line 4 already; give each key its own"),
        ("keys.yaml:8:17: ", "too short, 2 bytes; use at least 32"),
        ("keys.yaml:10:17: ", "environment variable UNSET is not set"),
        ("keys.yaml:11:20: ", "not a time; write one in UTC such as 2026-11-01T00:00:00Z"),
        ("keys.yaml:15:20: ", "not_after is not later than not_before"),
        ("keys.yaml:18:18: ", "expected a whole number"),
        ("keys.yaml:19:17: ", "the same secret is used in line 5 already"),
        ("keys.yaml:20:17: ", "did you mean `alpha`?"),
        ("keys.yaml:21:3: ", "`northwind` appears a second time, first in line 2"),
    ]
    assert len(reported) == len(expected)
    for line, (place, words) in zip(reported, expected, strict=True):
        assert line.startswith(place)
        assert words in line


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("tenants:\n\tnorthwind: {}\n", "keys.yaml:2:1: ", "tab"),
        ("tenants:\n  northwind: &n {}\n", "keys.yaml:2:14: ", "anchors (&n)"),
        ("tenants:\n  northwind: {}\n  contoso: *n\n", "keys.yaml:3:12: ", "aliases (*n)"),
        ("tenants:\n  northwind: !!map {}\n", "keys.yaml:2:14: ", "tag"),
        ("tenants: {}\n---\ntenants: {}\n", "keys.yaml:2:1: ", "second document"),
        ("tenants: {a: {}\n", "keys.yaml:1:10: ", "close it"),
        ("tenants: [\n", "keys.yaml:2:1: ", "close the bracket"),
        ('tenants: "a\n', "keys.yaml:1:10: ", "close it"),
        ("tenants: {}\n\x07", "keys.yaml:2:1: ", "control character"),
        ("tenants: []\n", "keys.yaml:1:10: ", "`name: value`"),
        ("tenants: {North_Wind: {}}\n", "keys.yaml:1:11: ", "not a valid name"),
        ("tenants: {a: {sync: on}}\n", "keys.yaml:1:21: ", "known here: disabled or enabled"),
        ("tenants: {a: {schemes: [crm-sync-v2]}}\n", "keys.yaml:1:25: ", "did you mean `crm-sync-v1`?"),
        ("tenants: {a: {schemes: []}}\n", "keys.yaml:1:24: ", "at least 1"),
        ("tenants: {a: {expect_every: 1 day}}\n", "keys.yaml:1:29: ", "such as 24h"),
        ("tenants: {a: {keys: [{secret: hex:00}]}}\n", "keys.yaml:1:22: ", "`version` is missing; add `version: 1`"),
        ("tenant: {}\n", "keys.yaml:1:1: ", "did you mean `tenants`?"),
        ("? [a]\n: b\n", "keys.yaml:1:3: ", "name of a member"),
    ],
)
def test_form(roster: Any, problems: Any, text: str, place: str, words: str) -> None:
    """What YAML can do beyond plain data, and what does not fit the roster, is reported with its place and its fix."""
    reported = problems(roster, text)
    assert any(line.startswith(place) and words in line for line in reported), reported


def test_a_required_member_written_wrongly_is_a_slip_and_not_missing(roster: Any, problems: Any) -> None:
    """The one problem reported is the name that was meant, in the place of the slip."""
    reported = problems(roster, "tenants:\n  a:\n    keys:\n      - verison: 1\n        secret: env:GOOD\n", GOOD=KEY)
    assert reported == ["keys.yaml:4:9: unknown member `verison`; did you mean `version`?"]


def test_a_name_that_could_be_a_secret_is_not_repeated(roster: Any, problems: Any) -> None:
    """The message about an unknown member without its name is a sentence too."""
    reported = problems(roster, f"tenants:\n  a:\n    {KEY}: 1\n    keys: []\n")
    known = "expect_every, keys, repeats, schemes or sync"
    assert reported == [f"keys.yaml:3:5: unknown member of this name; known here: {known}"]


def test_tab_anchor_and_tag_together(roster: Any, problems: Any) -> None:
    """A tab does not hide an anchor and a tag in the same file."""
    reported = problems(roster, "tenants:\n\ta: &x {}\n\tb: !t {}\n")
    assert [line.split(": ")[0] for line in reported] == [
        "keys.yaml:2:1",
        "keys.yaml:2:6",
        "keys.yaml:3:1",
        "keys.yaml:3:6",
    ]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (", version: 2", "a second time"),
        (", revoked: yes", "`true` or `false`"),
        (", not_before: 2026-11-01", "such as 2026-11-01T00:00:00Z"),
        (", not_before: 2026-02-30T00:00:00Z", "not a time"),
        (", sources: [10.0.0.1/8]", "write 10.0.0.0/8"),
        (", sources: [everywhere]", "not a network"),
        (", sources: [unix, unix]", "twice"),
        (", types: alpha", "expected a list"),
        (", schemes: [crm-sync-v2]", "did you mean `crm-sync-v1`?"),
        (", schemes: []", "at least 1"),
    ],
)
def test_key_members(roster: Any, problems: Any, extra: str, words: str) -> None:
    """Each member of a key is refused with the way to fix it."""
    (reported,) = problems(roster, one("env:GOOD", extra), GOOD=KEY)
    assert words in reported


def test_numbers_in_quotes_and_leading_zeros(roster: Any, problems: Any) -> None:
    """A version is a number as written: neither in quotes nor with a leading zero."""
    (quoted,) = problems(roster, one("env:GOOD").replace("version: 1", 'version: "1"'), GOOD=KEY)
    (octal,) = problems(roster, one("env:GOOD").replace("version: 1", "version: 01"), GOOD=KEY)
    assert "remove the quotes" in quoted
    assert "whole number" in octal


def test_text_is_not_retyped(roster: Any) -> None:
    """A tenant named no, or 007, keeps its name."""
    assert set(roster("tenants: {no: {}, 007: {}}").tenants) == {"no", "007"}


RAW = bytes(range(32))
B64 = base64.b64encode(RAW).decode()


@pytest.mark.parametrize(
    ("secret", "environ", "key"),
    [
        (f"base64:{B64}", {}, RAW),
        (f"hex:{RAW.hex()}", {}, RAW),
        (f"whsec_{base64.b64encode(RAW[:24]).decode()}", {}, RAW[:24]),
        ("env:K", {"K": KEY + "\n"}, KEY.encode()),
        ("env:K", {"K": KEY + "\n\n"}, KEY.encode() + b"\n"),
        ("env:K", {"K": f"base64:{B64}\n"}, RAW),
        ("env:K", {"K": f"whsec_{B64}"}, RAW),
        ("env:K", {"K": "env:L", "L": f"hex:{RAW.hex()}"}, RAW),
        ("env:K", {"K": "ü" * 16}, ("ü" * 16).encode()),
    ],
)
def test_references(roster: Any, secret: str, environ: dict[str, str], key: bytes) -> None:
    """Every form of reference yields its bytes, and the value behind env: is read by the same rules."""
    assert roster(one(secret), **environ).tenants["northwind"].keys[1].material == key


def test_file_reference(roster: Any, tmp_path: Path) -> None:
    """A file is found from the roster's folder, and one final newline is not part of the key."""
    (tmp_path / "nw").write_bytes(KEY.encode() + b"\n")
    assert roster(one("file:nw")).tenants["northwind"].keys[1].material == KEY.encode()


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("open-sesame-open-sesame-open-sesame", "no prefix"),
        ("base64:open-sesame", "not base64"),
        ("hex:open-sesame", "not hexadecimal"),
        ("whsec_open-sesame", "not base64"),
        (f"whsec_{base64.b64encode(b'x' * 23).decode()}", "at least 24"),
        (f"whsec_{base64.b64encode(b'x' * 65).decode()}", "at most 64"),
        ("env:SHORT", "11 bytes; use at least 32"),
        ("'env:'", "name of an environment variable"),
        ("env:", "needs quotes"),
        ("env:LOOP", "too long"),
        ("file:absent", "No such file"),
        ("file:raw", "not UTF-8"),
        ("", "expected a secret"),
        ("[a]", "expected a secret"),
    ],
)
def test_bad_references(roster: Any, problems: Any, tmp_path: Path, secret: str, words: str) -> None:
    """A reference that yields no key is refused, and no message contains a secret."""
    (tmp_path / "raw").write_bytes(b"\xff" * 32)
    reported = problems(roster, one(secret), SHORT="open-sesame", LOOP="env:LOOP")
    assert any(words in line or "`secret` is missing" in line for line in reported), reported
    assert not any("sesame" in line for line in reported)


def test_one_secret_behind_two_references(roster: Any, problems: Any) -> None:
    """The same key bytes are refused however they are written, in one tenant or in two."""
    text = f"""
        tenants:
          a: {{keys: [{{version: 1, secret: "hex:{KEY.encode().hex()}"}}]}}
          b: {{keys: [{{version: 1, secret: env:K, revoked: true}}]}}
        """
    (reported,) = problems(roster, text, K=KEY)
    assert reported.startswith("keys.yaml:3:")
    assert reported.endswith("the same secret is used in line 2 already; give every key its own secret")


def test_a_secret_in_the_wrong_place_is_not_quoted(roster: Any, problems: Any) -> None:
    """A key pasted where a name belongs does not come back in the message."""
    pasted = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    (reported,) = problems(roster, f"tenants: {{a: {{schemes: [{pasted}]}}}}")
    assert "MfKQ" not in reported


@given(
    pieces=st.lists(
        st.sampled_from([*"{}[]:,-#&*!|>'\"%@`?~ \n\t", "a", "tenants", "keys", "1", "é", "\ufeff", "\x85"])
    )
)
def test_any_text_is_loaded_or_reported(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    """Any file loads or is reported with its place."""
    path = tmp_path_factory.mktemp("any") / "keys.yaml"
    path.write_text("".join(pieces), encoding="utf-8")
    reported = check(path.parent, sections=(), schemes=(), record_types=(), options={}, environ={})
    roster = [line for line in reported if not line.startswith("instance.yaml:")]
    assert all(re.match(r"keys\.yaml:\d+:\d+: ", line) for line in roster)


def test_no_file(tmp_path: Path, problems: Any) -> None:
    """A missing roster is reported with where it was looked for."""
    (reported,) = problems(load_roster, tmp_path / "keys.yaml", sections=(), schemes=(), environ={})
    assert str(tmp_path) in reported


def test_hostile_depth_and_bytes(write: Any, problems: Any) -> None:
    """Deep nesting, a byte that is not UTF-8 and a file too large are reported, not crashed on."""
    path = write("keys.yaml", "tenants: " + "[" * 500 + "]" * 500)
    keywords = {"sections": (), "schemes": (), "environ": {}}
    assert "levels" in problems(load_roster, path, **keywords)[0]
    path.write_bytes(b"tenants:\n  \xff: {}\n")
    assert problems(load_roster, path, **keywords)[0].startswith("keys.yaml:2:3: ")
    path.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    assert "larger" in problems(load_roster, path, **keywords)[0]
    path.write_bytes(b"\xef\xbb\xbftenants: {}\r\n")
    assert load_roster(path, **keywords).tenants == {}


@pytest.mark.parametrize("space", ["\u00a0", "\u2003", "\u200b", "\u3000", "\ufeff"])
def test_an_odd_space_as_indentation_is_named_at_its_place(roster: Any, problems: Any, space: str) -> None:
    """A no-break space or the like before a member is reported with its line and column, and as nothing else."""
    text = f"tenants:\n  northwind:\n {space}  sync: enabled\n"
    assert problems(roster, text) == ["keys.yaml:3:2: an odd space indents this line; use plain spaces"]


def test_a_byte_order_mark_is_no_part_of_a_secret(roster: Any, tmp_path: Path) -> None:
    """A secret file that begins with a byte order mark has the same key as one without, as text and with a prefix."""
    for secret in ("s" * 40, "hex:" + "ab" * 32):
        (tmp_path / "plain").write_text(secret)
        (tmp_path / "marked").write_text("\ufeff" + secret + "\n")
        keys = [
            roster(f"tenants: {{northwind: {{keys: [{{version: 1, secret: 'file:{name}'}}]}}}}")
            .tenants["northwind"]
            .keys[1]
            for name in ("plain", "marked")
        ]
        assert keys[0].material == keys[1].material


def test_many_mistakes_are_counted(roster: Any, problems: Any) -> None:
    """Past a hundred problems of a file the rest is a number, so that no file fills a terminal."""
    found = problems(roster, "".join(f"a{number}: *b\n" for number in range(1000)))
    assert len(found) == 101
    assert found[-1].endswith("more errors follow; fix the first")


def test_a_roster_that_is_gone_is_to_be_put_back(tmp_path: Path, problems: Any) -> None:
    """``crm init`` would write an empty one, which a running server takes for the end of every key."""
    names: dict[str, Any] = {"sections": (), "schemes": (), "environ": {}}
    (found,) = problems(load_roster, tmp_path / "keys.yaml", **names)
    assert found.endswith("name its folder with --config, or write one with `crm init`")
    (tmp_path / "instance.yaml").touch()
    (found,) = problems(load_roster, tmp_path / "keys.yaml", **names)
    assert found.endswith("keys.yaml: put it back from a copy")
