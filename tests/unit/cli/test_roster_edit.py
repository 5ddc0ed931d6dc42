from __future__ import annotations

import os
import re
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_core.cli.roster_edit import add_tenants, edit_roster, remove_tenant, rename_tenant, set_member
from crm_core.cli.roster_text import with_key, with_member, with_tenants
from crm_core.errors import SetupError
from crm_core.model.keys import Roster
from crm_core.settings.examples import example
from crm_core.settings.roster import load_roster

SECRETS = {version: f"hex:{version:064x}" for version in range(1, 30)}
FULL = f"""\
# top

tenants:
  # about northwind
  northwind:
    sync: enabled              # or disabled
    schemes: [crm-sync-v1,   rfc9421]

    keys:
      # the first
      - version: 2
        secret: hex:{2:064x}
        not_before: 2026-11-01T00:00:00Z     # optional
        not_after: 2027-02-01T00:00:00.5+02:00
      # about the first still

  # about contoso
  contoso: {{keys: [{{version: 1, secret: "hex:{1:064x}"}}]}}
# the end
"""


def read(path: Path) -> Roster:
    names = {"sections": ["features", "branding"], "schemes": ["crm-sync-v1", "rfc9421"]}
    return load_roster(path, **names, environ={})


def add_key(path: Path, tenant: str, *, version: int, secret: str) -> None:
    key = {"version": str(version), "secret": secret}
    edit_roster(path, lambda text: with_key(text, tenant, key))


@pytest.fixture
def roster(tmp_path: Path) -> Path:
    path = tmp_path / "keys.yaml"
    path.write_text(FULL)
    return path


def test_a_link_in_a_circle_is_reported(tmp_path: Path) -> None:
    """It cannot be read, which the error says."""
    path = tmp_path / "keys.yaml"
    path.symlink_to(path)
    with pytest.raises(SetupError, match=r"keys\.yaml:1:1: the file cannot be read \(Too many levels"):
        add_tenants(path, {})


def test_files_of_killed_edits_are_removed(roster: Path) -> None:
    """The next edit removes the new files that killed ones left, which contain keys, and no other file."""
    left, other = roster.with_name(".keys.yaml.a1b2_c3d"), roster.with_name(".keys.yaml.swp")
    left.write_text(FULL)
    other.write_text("of an editor")
    add_key(roster, "contoso", version=9, secret=SECRETS[9])
    assert sorted(path.name for path in roster.parent.iterdir()) == [other.name, roster.name]


def test_a_tenant_is_added_below_the_last_and_nothing_else_moves(roster: Path) -> None:
    """The new entry is put in as lines; every line that was there is there still, in its order."""
    assert add_tenants(roster, {"acme": SECRETS[9]}) == ["acme"]
    text = roster.read_text()
    entry = f"  acme:\n    keys:\n      - version: 1\n        secret: {SECRETS[9]}\n"
    assert text == FULL.replace("# the end\n", entry + "# the end\n")
    assert read(roster).tenants["acme"].keys[1].material == bytes.fromhex(SECRETS[9][4:])


def test_a_tenant_with_an_entry_is_left_alone(roster: Path) -> None:
    """If the tenant has an entry, the result is False and the file is not written."""
    before = roster.stat()
    assert add_tenants(roster, {"contoso": SECRETS[9]}) == []
    assert roster.read_text() == FULL
    assert roster.stat().st_ino == before.st_ino


def test_the_example_file_takes_its_first_tenant(tmp_path: Path) -> None:
    """`tenants: {}` of the example becomes an entry below its comments."""
    path = tmp_path / "keys.yaml"
    path.write_text(example("keys.yaml"))
    assert add_tenants(path, {"acme": SECRETS[9]})
    assert path.read_text().startswith(example("keys.yaml").removesuffix("tenants: {}\n"))
    assert set(read(path).tenants) == {"acme"}


def has_tenants(text: str) -> bool:
    """Whether the roster says which tenants there are; one that does not is refused, since it may be cut off."""
    return bool(re.search(r"tenants:\s*[^\s}~]", text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet",
        "tenants:",
        "tenants: ~  # none",
        "tenants: {}  # none\n",
        "{tenants: {}}",
        "{}",
        "{tenants: }",
        "tenants:\n",
        "\ufefftenants: {}\n",
        "tenants: {}\r\n",
        "tenants:\n    wide:\n        keys:\n        - version: 1\n          secret: hex:" + "ab" * 32,
        "tenants:\n  a:\n  b: {keys: }\n  c: {keys: []}\n  d:\n    keys: []  # none\n  e: {}\n",
        "# Schlüssel für ☃\ntenants:\n  a: {keys: []} # ☃\n",
    ],
)
@pytest.mark.parametrize("tenant", ["acme", "no", "null", "007", "1-2"])
def test_any_layout_takes_a_tenant_and_its_further_keys(tmp_path: Path, text: str, tenant: str) -> None:
    """Empty files, nulls, brackets, other indents, CRLF and a BOM: the edited file loads, with all it had."""
    path = tmp_path / "keys.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    before = read(path).tenants if has_tenants(text) else {}
    assert add_tenants(path, {tenant: SECRETS[1]})
    for at, name in enumerate(read(path).tenants, start=2):
        add_key(path, name, version=at, secret=SECRETS[at])
        set_member(path, name, at, "not_after", "2026-11-01T00:00:00Z")
    after = read(path).tenants
    assert set(after) == {*before, tenant}
    assert all(max(entry.keys) >= 2 for entry in after.values())
    assert all(key in after[name].keys for name, entry in before.items() for key in entry.keys)
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf") is text.startswith("\ufeff")
    assert b"\r\n" not in raw or raw.count(b"\n") == raw.count(b"\r\n")


@pytest.mark.parametrize(
    "text",
    [
        "tenants: {acme: {keys: []}}\n",
        "tenants: {a: {}, acme: {keys: []}, b: {}}\n",
        "{tenants: {acme: {}, b: {}}}",
        "tenants: {a: {}, acme: {}}  # end\n",
        "tenants:\n  acme:\n    keys: []\n# end\n",
        "tenants:\n  acme:",
        "tenants:\n  a: {}\n  acme:\n    keys: []  # none\n    sync: disabled\n  # of b\n  b: {}\n",
        "tenants:\r\n  a: {}\r\n  acme: {}\r\n",
        "tenants:\n    acme:\n        keys:\n        - version: 1\n          secret: hex:" + "ab" * 32 + "\n    b: {}",
    ],
)
def test_an_entry_is_removed_from_any_layout(tmp_path: Path, text: str) -> None:
    """The other entries and the comments stay; without any entry left, the file still reads."""
    path = tmp_path / "keys.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    before = read(path).tenants
    assert remove_tenant(path, "acme")
    assert read(path).tenants == {name: entry for name, entry in before.items() if name != "acme"}
    after = path.read_text()
    assert [note for note in ("# end", "# of b") if note in text] == [
        note for note in ("# end", "# of b") if note in after
    ]
    assert not remove_tenant(path, "acme")
    assert add_tenants(path, {"acme": SECRETS[1]}) == ["acme"]
    assert set(read(path).tenants) == set(before)


@pytest.mark.parametrize(
    "text",
    [
        "tenants: {a: {}, acme: {keys: []}, b: {}}  # end\n",
        "tenants:\r\n  'acme':  # of acme\r\n    keys: []\r\n  b: {}\r\n",
        "tenants:\n  b:\n    sync: disabled\n  acme:",
    ],
)
def test_an_entry_is_renamed_in_any_layout(tmp_path: Path, text: str) -> None:
    """Nothing but the name changes, and no entry of another tenant is replaced."""
    path = tmp_path / "keys.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    before = read(path).tenants
    assert not rename_tenant(path, "acme", "b")
    assert not rename_tenant(path, "absent", "no")
    assert rename_tenant(path, "acme", "no")
    assert read(path).tenants == {"no" if name == "acme" else name: entry for name, entry in before.items()}
    assert rename_tenant(path, "no", "acme")
    assert path.read_bytes().decode() == text.replace("'acme'", "acme")


def test_a_key_is_added_before_the_comments_of_what_follows(roster: Path) -> None:
    """A new key comes right under the last one, so no comment changes the entry it speaks of."""
    add_key(roster, "northwind", version=3, secret=SECRETS[3])
    last = "        not_after: 2027-02-01T00:00:00.5+02:00\n"
    new = f"      - version: 3\n        secret: {SECRETS[3]}\n"
    assert roster.read_text() == FULL.replace(last, last + new)


def test_a_member_is_replaced_or_put_in(roster: Path) -> None:
    """A value that exists is replaced in its line; one that does not goes under the key's last line."""
    set_member(roster, "northwind", 2, "not_before", "2026-10-01T00:00:00Z")
    assert "        not_before: 2026-10-01T00:00:00Z     # optional\n" in roster.read_text()
    set_member(roster, "northwind", 2, "revoked", "true")
    set_member(roster, "contoso", 1, "revoked", "true")
    entries = read(roster).tenants
    assert entries["northwind"].keys[2].revoked
    assert entries["contoso"].keys[1].revoked


def test_what_is_not_there_cannot_be_edited(roster: Path) -> None:
    """A tenant without an entry and a version that no key has are named; the file stays."""
    with pytest.raises(LookupError):
        add_key(roster, "acme", version=3, secret=SECRETS[3])
    with pytest.raises(LookupError):
        set_member(roster, "northwind", 9, "revoked", "true")
    assert roster.read_text() == FULL


@pytest.mark.parametrize("text", ["tenants: [", "tenants: {}\ntenants: {}\n", "a: &x 1\nb: *x\n", "tenants: \x07"])
def test_a_roster_that_does_not_read_is_not_edited(tmp_path: Path, text: str) -> None:
    """The error names the line, and the invalid file stays as it is."""
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    with pytest.raises(SetupError, match=r"keys\.yaml:\d+:\d+: "):
        add_tenants(path, {"acme": SECRETS[1]})
    assert path.read_text() == text


@pytest.mark.parametrize(("before", "after"), [(0o600, 0o600), (0o604, 0o600), (0o640, 0o640), (0o666, 0o640)])
def test_the_edited_file_is_not_for_everybody(roster: Path, before: int, after: int) -> None:
    """The roster may contain secrets: after an edit others cannot read it, its owner and group still can, alone."""
    roster.chmod(before)
    if os.geteuid() == 0:
        os.chown(roster, 12345, 54321)
    owner = roster.stat()
    add_key(roster, "northwind", version=3, secret=SECRETS[3])
    now = roster.stat()
    assert stat.S_IMODE(now.st_mode) == after
    assert (now.st_uid, now.st_gid) == (owner.st_uid, owner.st_gid)
    assert [path.name for path in roster.parent.iterdir()] == ["keys.yaml"]


def test_a_link_stays_a_link(roster: Path) -> None:
    """A roster that is linked into the config folder is edited where it is."""
    link = roster.parent / "linked.yaml"
    link.symlink_to("keys.yaml")
    add_key(link, "northwind", version=3, secret=SECRETS[3])
    assert link.is_symlink()
    assert 3 in read(roster).tenants["northwind"].keys


def test_a_failed_write_leaves_the_roster(roster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the old roster stays, no half file next to it, and the error says what to look at."""

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SetupError, match="No space left on device"):
        add_key(roster, "northwind", version=3, secret=SECRETS[3])
    assert roster.read_text() == FULL
    assert [path.name for path in roster.parent.iterdir()] == ["keys.yaml"]


def test_an_edit_that_would_not_load_is_not_made(roster: Path) -> None:
    """A check that refuses the new roster leaves the old one; what it says names the roster, not the trial."""
    before = roster.read_bytes()
    key = {"version": "3", "secret": "hex:" + "0" * 63 + "2"}
    with pytest.raises(SetupError, match=r"^keys\.yaml:16:17: the same secret is used in line 12"):
        edit_roster(roster, lambda text: with_key(text, "northwind", key), check=read)
    assert roster.read_bytes() == before
    assert [path.name for path in roster.parent.iterdir()] == ["keys.yaml"]


def test_edits_at_the_same_time_all_happen(roster: Path) -> None:
    """Each edit waits for the one before, so none is lost, not even if one folder links to the file of another."""
    names = [f"tenant-{at}" for at in range(12)]
    other = roster.parent / "other"
    other.mkdir()
    (other / "keys.yaml").symlink_to(roster)

    def add(at: int) -> None:
        add_tenants((other if at % 2 else roster.parent) / "keys.yaml", {names[at]: SECRETS[10 + at]})

    threads = [threading.Thread(target=add, args=(at,)) for at in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(names) < set(read(roster).tenants)


def test_several_edits_are_one_change(roster: Path) -> None:
    """The edits of one change take effect together; a change of None writes nothing."""
    edit_roster(
        roster,
        lambda text: with_member(
            with_key(text, "northwind", {"version": "3", "secret": SECRETS[3]}), "northwind", 2, "revoked", "true"
        ),
    )
    keys = read(roster).tenants["northwind"].keys
    assert keys[2].revoked
    assert not keys[3].revoked
    assert edit_roster(roster, lambda _text: None) is False


layouts = st.tuples(
    st.sampled_from(["# a\n", "", "\n\n"]),
    st.integers(2, 6),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(["", "  # note", "   "]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)


@settings(max_examples=150)
@given(layout=layouts)
def test_edits_work_in_generated_layouts(tmp_path_factory: pytest.TempPathFactory, layout: tuple[object, ...]) -> None:
    """With any indents, comments and line ends the roster that is read is the old one plus the edits."""
    top, indent, dash, flow, note, newline, ended = layout
    step, lead = " " * int(str(indent)), " " * int(str(dash))
    key = f"{{version: 1, secret: {SECRETS[1]}}}" if flow else f"version: 1{note}\n{{}}  secret: {SECRETS[1]}"
    item = f"{step * 2}{lead}- "
    lines = f"{top}tenants:{note}\n{step}one:{note}\n{step * 2}keys:{note}\n"
    lines += (
        f"{item}{key.format(' ' * (len(item) - 2)) if not flow else key}{note}\n# about the next\n{step}two: {{}}{note}"
    )
    text = (lines + ("\n" if ended else "")).replace("\n", str(newline))
    path = tmp_path_factory.mktemp("roster") / "keys.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    text = with_tenants(text, {"three": {"version": "3", "secret": SECRETS[3]}})
    for name, version in (("one", 4), ("two", 5), ("three", 6)):
        text = with_key(text, name, {"version": str(version), "secret": SECRETS[version]})
    text = with_member(text, "one", 1, "revoked", "true")
    path.write_text(text, encoding="utf-8", newline="")
    entries = dict(read(path).tenants)
    assert {name: sorted(entry.keys) for name, entry in entries.items()} == {"one": [1, 4], "two": [5], "three": [3, 6]}
    assert entries["one"].keys[1].revoked
    assert not entries["one"].keys[4].revoked
    for name in ("one", "three", "two"):
        assert remove_tenant(path, name)
        del entries[name]
        assert read(path).tenants == entries
