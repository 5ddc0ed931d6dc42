from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crm_core.model.ed25519 import public_key_of
from crm_core.model.keys import Key
from crm_core.settings.key_pairs import written_public_key
from crm_core.settings.roster import load_roster
from crm_core.settings.secrets import Secrets

Crm = Callable[..., Any]
SECRET = "hex:" + bytes(range(1, 33)).hex()


def keys_of(config: Path, tenant: str = "northwind") -> Mapping[int, Key]:
    roster = load_roster(config / "keys.yaml", sections=["branding"], schemes=["crm-sync-v1", "rfc9421"], environ={})
    return roster.tenants[tenant].keys


def write(config: Path, keys: str, tenant: str = "northwind") -> str:
    text = f"# ours\ntenants:\n  {tenant}: # the first\n    keys:\n{keys}# the end\n"
    (config / "keys.yaml").write_text(text)
    return text


def key(version: int, **members: str) -> str:
    lines = [f"      - version: {version}", f"        secret: hex:{version:064x}"]
    return "\n".join([*lines, *(f"        {name}: {value}" for name, value in members.items())]) + "\n"


def moment(**later: float) -> str:
    return (datetime.now(UTC) + timedelta(**later)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(("form", "prefix"), [("base64", "base64:"), ("hex", "hex:"), ("whsec", "whsec_")])
def test_generate_prints_a_fresh_secret_that_a_roster_takes(crm: Crm, form: str, prefix: str) -> None:
    """32 random bytes in the form asked for, alone on their line, another each time."""
    made = [crm("keys", "generate", "--form", form).out.strip() for _ in range(2)]
    assert made[0].startswith(prefix)
    assert made[0] != made[1]
    assert len(Secrets({}, Path()).reference(made[0])) == 32


def test_rotate_adds_the_next_version_and_ends_the_old_one(config: Path, crm: Crm) -> None:
    """The old key gets an end, the new one is active immediately, and the rest of the file stays as it was."""
    before = write(config, key(2))
    made = crm("keys", "rotate", "northwind", "--overlap", "2h")
    assert made.code == 0, made.err
    assert made.out.startswith("northwind: added key version 3 to")
    keys = keys_of(config)
    end = keys[2].not_after
    assert end is not None
    assert timedelta(minutes=119) < end - datetime.now(UTC) <= timedelta(hours=2)
    assert keys[3].state(datetime.now(UTC)) == "active"
    assert len(keys[3].material) == 32
    after = (config / "keys.yaml").read_text()
    assert [line for line in after.splitlines() if line in before.splitlines()] == before.splitlines()
    assert keys[3].material.hex() not in made.out + made.err


def test_rotate_without_an_overlap_revokes(config: Path, crm: Crm) -> None:
    """--overlap revoke: the old key counts as leaked from now on."""
    write(config, key(2))
    made = crm("keys", "rotate", "northwind", "--overlap", "revoke")
    assert "key version 2 is revoked" in made.out
    assert (keys_of(config)[2].revoked, keys_of(config)[3].revoked) == (True, False)


def test_rotate_refuses_while_an_overlap_is_open(config: Path, crm: Crm) -> None:
    """Two active keys are an unfinished rotation; --force adds a key and postpones no end."""
    end = moment(hours=1)
    before = write(config, key(1, not_after=end) + key(2))
    made = crm("keys", "rotate")
    assert made.code == 1
    assert f"version 1 active until {end}; version 2 active" in made.err
    assert (config / "keys.yaml").read_text() == before
    assert crm("keys", "rotate", "--force").code == 0
    keys = keys_of(config)
    assert keys[1].not_after == datetime.fromisoformat(end)
    assert keys[2].not_after is not None
    assert max(keys) == 3


def test_rotate_leaves_ended_keys_and_later_starts_alone(config: Path, crm: Crm) -> None:
    """Expired and revoked keys are history; a key staged for later starts as planned."""
    later = moment(days=9)
    write(config, key(1, not_after=moment(hours=-1)) + key(2, revoked="true") + key(3, not_before=later))
    assert crm("keys", "rotate").code == 0
    keys = keys_of(config)
    assert keys[3].not_after is None
    assert max(keys) == 4


def test_rotate_gives_a_tenant_its_first_key(config: Path, crm: Crm) -> None:
    """A tenant without an entry gets one, with version 1 and the secret asked for."""
    made = crm("keys", "rotate", "acme", "--secret", "hex:" + "ab" * 32)
    assert made.code == 0, made.err
    assert keys_of(config, "acme")[1].material == bytes.fromhex("ab" * 32)


def test_rotate_refuses_a_secret_that_serves_already(config: Path, crm: Crm) -> None:
    """A roster that the server would not load is not written."""
    before = (config / "keys.yaml").read_bytes()
    made = crm("keys", "rotate", "--secret", SECRET)
    assert made.code == 1
    assert "the same secret is used in line" in made.err
    assert SECRET not in made.err
    assert (config / "keys.yaml").read_bytes() == before


def test_keys_are_edited_without_the_servers_environment(config: Path, crm: Crm) -> None:
    """A secret behind env: that only the server has hinders neither rotation nor list; its fingerprint is unknown."""
    (config / "keys.yaml").write_text(
        "tenants:\n  northwind:\n    keys:\n      - {version: 1, secret: env:ONLY_THE_SERVER_HAS_IT}\n"
    )
    made = crm("keys", "rotate")
    assert made.code == 0, made.err
    listed = json.loads(crm("keys", "list", "--json").out)
    assert [(row["key_version"], row["fingerprint"]) for row in listed] == [(2, None), (1, None)]
    assert "its secret cannot be read here" in crm("keys", "list").out
    checked = crm("keys", "check")
    assert checked.code == 1
    assert "ONLY_THE_SERVER_HAS_IT is not set" in checked.err


def test_revoke_marks_a_key_as_leaked(config: Path, crm: Crm) -> None:
    """The key ends immediately, and the output warns of a tenant that is left without one."""
    made = crm("keys", "revoke", "northwind", "2")
    assert made.code == 0, made.err
    assert keys_of(config)[2].revoked
    assert "northwind now has no active key; crm keys rotate northwind" in made.err
    assert crm("keys", "revoke", "northwind", "2").code == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("keys", "revoke"), 2, "Missing argument 'TENANT'"),
        (("keys", "revoke", "2"), 2, "Missing argument 'VERSION'"),
        (("keys", "revoke", "northwind", "0"), 2, "enter a whole number of at least 1"),
        (("keys", "rotate", "--tenant", "northwind"), 2, "No such option '--tenant'"),
        (("keys", "revoke", "northwind", "9"), 1, "no key version 9 for northwind; it has 2"),
        (("keys", "revoke", "acme", "1"), 1, "no entry for acme; known here: northwind"),
        (("keys", "rotate", "No_Name"), 2, "cannot name a tenant"),
        (("keys", "rotate", "--overlap", "soon"), 2, "enter a length of time such as 24h or 30m, or revoke"),
        (("keys", "rotate", "--secret", "much too open"), 1, "the secret has no prefix"),
        (("keys", "list", "acme"), 1, "no entry for acme"),
    ],
)
def test_wrong_arguments_change_nothing(
    config: Path, crm: Crm, words: tuple[str, ...], code: int, message: str
) -> None:
    """Wrong usage is exit 2, what cannot be done exit 1, and the roster stays."""
    before = (config / "keys.yaml").read_bytes()
    made = crm(*words)
    assert (made.code, message in made.err.replace("\n", " ")) == (code, True)
    assert (config / "keys.yaml").read_bytes() == before


def test_a_roster_of_several_tenants_wants_a_name(config: Path, crm: Crm) -> None:
    """With more than one entry the tenant must be named, and the message lists the tenants."""
    assert crm("keys", "rotate", "acme").code == 0
    made = crm("keys", "rotate")
    assert (made.code, "acme, northwind" in made.err) == (2, True)


def test_list_shows_states_dates_and_limits(config: Path, crm: Crm) -> None:
    """Each key on a line, the newest first, its secret only as a fingerprint."""
    later, gone = moment(days=3), moment(days=-3)
    write(
        config,
        key(1, not_after=gone)
        + key(2, revoked="true")
        + key(3, types="[branding]", sources="[10.0.0.0/8, unix]", schemes="[crm-sync-v1]")
        + key(4, not_before=later),
    )
    lines = crm("keys", "list").out.splitlines()
    assert [line.split("  ")[1:3] for line in lines] == [
        ["version 4", "staged"],
        ["version 3", "active"],
        ["version 2", "revoked"],
        ["version 1", "expired"],
    ]
    assert f"from {later}" in lines[0]
    assert "types: branding" in lines[1]
    assert "sources: 10.0.0.0/8, unix" in lines[1]
    assert "schemes: crm-sync-v1" in lines[1]
    assert f"until {gone}" in lines[3]
    (row,) = [one for one in json.loads(crm("keys", "list", "northwind", "--json").out) if one["key_version"] == 3]
    assert row["fingerprint"].startswith("sha256:")
    assert (row["kind"], row["schemes"]) == ("secret", ["crm-sync-v1"])
    assert f"{3:064x}" not in json.dumps(row)
    assert (row["uses"], row["last_used_at"]) == (0, None)
    (config / "keys.yaml").write_text("tenants: {}\n")
    assert "crm keys rotate TENANT creates one" in crm("keys", "list").err


def test_list_works_without_a_store(config: Path, crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the stores cannot be read, the keys are listed without their use."""
    monkeypatch.delenv("CRM_SECRET_KEY")
    made = crm("keys", "list", "--json")
    assert made.code == 0
    assert json.loads(made.out)[0]["uses"] is None
    assert "last use is unknown: instance.yaml:" in made.err


def test_check_names_the_tenants_without_an_entry(config: Path, crm: Crm) -> None:
    """A tenant that exists and that keys.yaml does not name accepts no pushes: that is a warning, not an error."""
    assert crm("tenant", "create", "acme").code == 0
    (config / "keys.yaml").write_text("tenants: {}\n")
    checked = crm("keys", "check")
    assert (checked.code, checked.err.splitlines()[-1]) == (
        0,
        "acme has no entry in keys.yaml, so its receiver is disabled; crm keys rotate acme creates a key",
    )
    assert crm("keys", "rotate", "acme").code == 0
    assert "acme has no entry" not in crm("keys", "check").err


def test_rotate_says_that_a_new_entry_has_no_tenant(config: Path, crm: Crm) -> None:
    """A mistyped name makes an entry that no tenant belongs to: the command says so, and what to do."""
    rotated = crm("keys", "rotate", "acmee")
    assert rotated.code == 0
    assert "there is no such tenant yet; crm tenant create acmee creates it. If the name is mistyped" in rotated.err
    assert crm("tenant", "create", "acmee").code == 0
    assert crm("keys", "rotate", "acmee", "--force").err == ""


def test_check_works_without_a_store(config: Path, crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the stores cannot be read, the roster is checked all the same."""
    monkeypatch.delenv("CRM_SECRET_KEY")
    checked = crm("keys", "check")
    assert checked.code == 0
    assert "which tenants have no entry is unknown: instance.yaml:" in checked.err


def test_check_names_what_ends_soon_and_who_is_left_without(config: Path, crm: Crm) -> None:
    """An only key that ends this week is a warning, none is exit 1, and a roster that others can read a warning."""
    write(config, key(1, not_after=moment(days=3)))
    (config / "keys.yaml").chmod(0o644)
    checked = crm("keys", "check")
    assert checked.code == 0
    assert "its only active key, version 1, ends" in checked.err
    assert "can be read by other users of this machine; chmod 0600" in checked.err
    (config / "keys.yaml").chmod(0o600)
    write(config, key(1, revoked="true"))
    checked = crm("keys", "check")
    assert checked.code == 1
    assert "northwind has no active key" in checked.err
    write(config, key(1) + key(1))
    checked = crm("keys", "check")
    assert (checked.code, "version 1 is used in line" in checked.err) == (1, True)


def test_the_list_gives_a_revoked_key_no_end(config: Path, crm: Crm) -> None:
    """A key that ended by its revocation is not listed with the end that a rotation had given it."""
    assert crm("keys", "rotate", "northwind").code == 0
    assert crm("keys", "revoke", "northwind", "2").code == 0
    (revoked,) = [line for line in crm("keys", "list", "northwind").out.splitlines() if "version 2" in line]
    assert "revoked" in revoked
    assert "until" not in revoked


@pytest.mark.parametrize("flow", [False, True], ids=["block", "flow"])
def test_rotate_gives_the_new_key_the_limits_of_the_one_before(config: Path, crm: Crm, flow: bool) -> None:
    """A platform may do with its next key what it could with the last, and no more."""
    narrow = {"types": "[branding]", "sources": '[10.0.0.0/8, "2001:db8::/32", unix]', "schemes": "[crm-sync-v1]"}
    if flow:
        members = ", ".join(f"{name}: {value}" for name, value in narrow.items())
        text = f"{{tenants: {{northwind: {{keys: [{{version: 1, secret: hex:{1:064x}, {members}}}]}}}}}}\n"
        (config / "keys.yaml").write_text(text)
    else:
        write(config, key(1, **narrow))
    made = crm("keys", "rotate", "northwind")
    assert made.code == 0, made.err
    assert "it has the limits of key version 1 (types: branding; sources: 10.0.0.0/8, 2001:db8::/32, unix" in made.out
    old, new = keys_of(config)[1], keys_of(config)[2]
    assert (new.types, new.schemes, set(new.sources or ())) == (old.types, old.schemes, set(old.sources or ()))
    assert new.not_after is None


def test_rotate_follows_the_newest_key_that_is_not_over(config: Path, crm: Crm) -> None:
    """Limits of a key that ended say nothing about the tenant's key of today; without any other they count."""
    write(config, key(1) + key(2, revoked="true", types="[branding]"))
    assert crm("keys", "rotate", "northwind").code == 0
    assert keys_of(config)[3].types is None
    write(config, key(1) + key(2, types="[branding]"))
    assert crm("keys", "rotate", "northwind", "--overlap", "revoke", "--force").code == 0
    assert keys_of(config)[3].types == {"branding"}
    write(config, key(1, revoked="true", types="[branding]"))
    assert crm("keys", "rotate", "northwind").code == 0
    assert keys_of(config)[2].types == {"branding"}


def test_generate_prints_a_key_pair(crm: Crm) -> None:
    """The private half signs for the public one; a form of secrets does not apply to it."""
    lines = crm("keys", "generate", "--ed25519").out.splitlines()
    (first, private), (second, public) = (line.split(": ") for line in lines)
    assert (first, second, private[:5]) == ("private", "public", "whsk_")
    assert public == written_public_key(public_key_of(Secrets({"K": private}, Path()).private("env:K")))
    assert crm("keys", "generate", "--ed25519", "--form", "hex").code == 2


PUBLIC = written_public_key(public_key_of(bytes(32)))


def test_rotate_to_a_public_key_keeps_the_limits_that_fit(config: Path, crm: Crm) -> None:
    """The new key has the sections of the one before, and of its schemes those that verify a public key."""
    write(config, key(2, types="[branding]", schemes="[crm-sync-v1, rfc9421]"))
    made = crm("keys", "rotate", "northwind", "--public", PUBLIC)
    assert made.code == 0, made.err
    assert "the platform signs with its private key" in made.out
    new = keys_of(config)[3]
    assert (new.kind, new.types, new.schemes) == ("public", {"branding"}, {"rfc9421"})
    assert "public key" in crm("keys", "list").out.splitlines()[0]


def test_rotate_from_the_native_scheme_alone_leaves_its_limit_out(config: Path, crm: Crm) -> None:
    """A key limited to crm-sync-v1 is followed by one that its platform can use."""
    write(config, key(2, schemes="[crm-sync-v1]"))
    assert crm("keys", "rotate", "northwind", "--public", PUBLIC).code == 0
    assert keys_of(config)[3].schemes is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--public", "whsk_AAAA"), "private key"),
        (("--public", PUBLIC, "--secret", SECRET), "either --secret or --public"),
        (("--public", SECRET), "not a public key"),
    ],
)
def test_rotate_refuses_what_is_no_public_key(config: Path, crm: Crm, words: tuple[str, ...], said: str) -> None:
    """The roster stays as it was, and the message says what to write."""
    before = write(config, key(2))
    made = crm("keys", "rotate", "northwind", *words)
    assert made.code in {1, 2}
    assert said in made.err
    assert (config / "keys.yaml").read_text() == before


def test_rotate_refuses_a_public_key_that_no_accepted_scheme_verifies(config: Path, crm: Crm) -> None:
    """Otherwise the platform would be locked out when the overlap ends."""
    text = f"tenants:\n  northwind:\n    schemes: [crm-sync-v1]\n    keys:\n{key(2)}"
    (config / "keys.yaml").write_text(text)
    made = crm("keys", "rotate", "northwind", "--public", PUBLIC)
    assert made.code == 1
    assert "accepts crm-sync-v1 only, which verifies no public key; add one of rfc9421" in made.err
    assert (config / "keys.yaml").read_text() == text
