"""The outcome of a push for a section, on any data: secrets apart, exact changes, secrets bound to their place."""

from __future__ import annotations

import copy
from typing import Annotated, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from crm_core.errors import Finding
from crm_core.model.diff import Change
from crm_core.model.patch import merge_patch
from crm_core.plugin.payload import PayloadType, secret
from crm_core.sync.outcome import SectionOutcome, outcome_of
from crm_core.workspace import Section


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    place: str | UnsetType = UNSET
    pin: Annotated[str, secret(bound_to=("place",))] | UnsetType = UNSET
    words: list[str] | UnsetType = UNSET


class Whole(msgspec.Struct, forbid_unknown_fields=True):
    host: str | UnsetType = UNSET
    key: Annotated[str, secret(bound_to=("host",))] | UnsetType = UNSET
    inner: Inner | UnsetType = UNSET
    port: int | UnsetType = UNSET
    far: Annotated[str, secret(bound_to=("host", "port"))] | UnsetType = UNSET
    free: dict[str, int] | UnsetType = UNSET


class Talk(PayloadType):
    NAME = "talk"
    SECTION = Whole


TALK = Talk()
SECRETS = (("/host", "/key"), ("/inner/place", "/inner/pin"))
places = st.sampled_from(["a", "b"])
secret_texts = st.sampled_from(["SECRET-one", "SECRET-two"])


def parts(*, nulls: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Data that fits, with nulls where a patch may have them."""

    def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.none() | values if nulls else values

    inner = st.fixed_dictionaries(
        {},
        optional={
            "place": maybe(places),
            "pin": maybe(secret_texts),
            "words": maybe(st.lists(st.sampled_from(["x", "y"]), max_size=2)),
        },
    )
    free = st.dictionaries(st.sampled_from(["a/b", "c~d", "e"]), maybe(st.integers(0, 3)), max_size=3)
    return st.fixed_dictionaries(
        {}, optional={"host": maybe(places), "key": maybe(secret_texts), "inner": maybe(inner), "free": maybe(free)}
    )


def stored(outcome: SectionOutcome) -> Section:
    """The section as it would be stored; sealing is simulated."""
    sealed = {**outcome.old_secrets, **dict.fromkeys(outcome.new_secrets, "sealed")}
    return Section(
        name="talk",
        data=dict(outcome.data),
        sealed=sealed,
        version=1,
        revision=1,
        applied_at="",
        request_id="",
        payload_type="talk",
    )


def outcome_for(part: Any, before: Section | None, strategy: Any) -> SectionOutcome:
    return outcome_of("talk", part, prefix="/data", strategy=strategy, payload_type=TALK, before=before)


def at(data: Any, pointer: str) -> Any:
    """The value at a pointer; None if there is none."""
    for step in pointer.split("/")[1:]:
        data = data.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(data, dict) else None
    return data


def put(data: dict[str, Any], pointer: str, value: Any) -> None:
    """Set or (None) remove the value at a pointer."""
    *above, last = (step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
    for step in above:
        data = data.setdefault(step, {})
    if value is None:
        data.pop(last, None)
    else:
        data[last] = value


def bare(value: Any) -> Any:
    """The value without empty objects, which are no changes."""
    if not isinstance(value, dict):
        return value
    return {name: inner for name, item in value.items() if (inner := bare(item)) != {}}


@given(parts(nulls=False), parts(nulls=True), st.sampled_from(["replace", "merge"]))
def test_no_secret_is_in_the_data_or_its_changes(first: Any, second: Any, strategy: str) -> None:
    """No secret is in the section, its changes or its findings; a member that has one is shown as set."""
    before = stored(outcome_for(first, None, "replace"))
    outcome = outcome_for(second, before, strategy)
    assert "SECRET" not in repr((outcome.data, outcome.changes(), outcome.findings, outcome.old_secrets))
    for _, pointer in SECRETS:
        has_secret = pointer in outcome.new_secrets or pointer in outcome.old_secrets
        assert at(outcome.data, pointer) == ({"set": True} if has_secret else None)


@given(parts(nulls=False), parts(nulls=True), st.sampled_from(["replace", "merge"]))
def test_changes_lead_from_the_section_before_to_the_one_after(first: Any, second: Any, strategy: str) -> None:
    """Applied one by one the changes make the new section; each has the old value, and differs or is of a secret."""
    before = stored(outcome_for(first, None, "replace"))
    outcome = outcome_for(second, before, strategy)
    if outcome.required:
        return
    data = copy.deepcopy(before.data)
    for change in outcome.changes():
        assert change.pointer.startswith("/talk/")
        place = change.pointer.removeprefix("/talk")
        assert at(before.data, place) == change.before
        assert change.before != change.after or place in outcome.new_secrets
        put(data, place, change.after)
    assert bare(data) == bare(outcome.data)


@given(parts(nulls=False), parts(nulls=True))
def test_a_merge_keeps_a_secret_only_for_the_same_place(first: Any, patch: Any) -> None:
    """A secret that the patch leaves out stays, or is required again if its place changed; others are as patched."""
    before = stored(outcome_for(first, None, "replace"))
    outcome = outcome_for(patch, before, "merge")
    merged = merge_patch(first, patch)
    for place, pointer in SECRETS:
        patched = is_patched(patch, pointer)
        stored_before, same = at(first, pointer) is not None, at(first, place) == at(merged, place)
        name = pointer.rsplit("/", 1)[1]
        assert (pointer in outcome.old_secrets) is (stored_before and not patched and same)
        assert (name in outcome.required) is (stored_before and not patched and not same)
        assert outcome.new_secrets.get(pointer) == (at(merged, pointer) if patched else None)
    assert {finding.code for finding in outcome.findings} == {f"{name}_required" for name in outcome.required}


def is_patched(patch: Any, pointer: str) -> bool:
    """Whether a patch sets or removes the member, or an object that contains it."""
    *above, last = pointer.split("/")[1:]
    for step in above:
        if step not in patch:
            return False
        patch = patch[step]
        if not isinstance(patch, dict):
            return True
    return last in patch


def test_a_moved_secret_is_required_by_its_name_and_place() -> None:
    """The finding names the members that changed, also inside the section, and has the secret's pointer."""
    before = stored(outcome_for({"inner": {"place": "a", "pin": "SECRET-one"}}, None, "replace"))
    outcome = outcome_for({"inner": {"place": "b", "words": ["x"]}}, before, "merge")
    assert [(finding.pointer, finding.code, finding.message) for finding in outcome.findings] == [
        (
            "/data/inner/pin",
            "pin_required",
            "place changed, so the stored secret is not used. Push the section with its secret.",
        )
    ]
    before = stored(outcome_for({"host": "a", "port": 1, "far": "SECRET-one"}, None, "replace"))
    outcome = outcome_for({"host": "b", "port": 2}, before, "merge")
    assert [finding.message for finding in outcome.findings] == [
        "host, port changed, so the stored secret is not used. Push the section with its secret."
    ]


def test_a_merge_leaves_what_it_does_not_name() -> None:
    """A member, not the section as a whole; a replace leaves nothing."""
    before = stored(outcome_for({"host": "a", "inner": {"place": "a"}}, None, "replace"))
    merge = outcome_for({"inner": {"words": []}}, before, "merge")
    places = "", "/inner", "/inner/words", "/inner/place", "/host"
    assert [merge.leaves(place) for place in places] == [False, False, False, True, True]
    gone = outcome_for({"inner": None}, before, "merge")
    assert [gone.leaves(place) for place in ("/inner/place", "/inner/place/of", "/free/e")] == [False, False, True]
    assert not outcome_for({"host": "a"}, before, "replace").leaves("/inner")


def test_a_new_secret_is_one_change() -> None:
    """With the pointer of its member, whether there was one before, and at any depth."""
    before = stored(outcome_for({"host": "a", "key": "SECRET-one"}, None, "replace"))
    merge = outcome_for({"key": "SECRET-two", "inner": {"pin": "SECRET-one"}}, before, "merge")
    shown = {"set": True}
    assert merge.changes() == [Change("/talk/inner/pin", None, shown), Change("/talk/key", shown, shown)]


def test_a_merge_into_no_section_makes_one() -> None:
    """As if it were empty."""
    outcome = outcome_for({"host": "a", "key": "SECRET-one"}, None, "merge")
    assert (outcome.data, outcome.new_secrets) == ({"host": "a", "key": {"set": True}}, {"/key": "SECRET-one"})


def test_a_part_that_cannot_be_used_has_its_findings_alone() -> None:
    """Nothing of it is data; the section before it and its place in the body are known."""
    before = stored(outcome_for({"host": "a"}, None, "replace"))
    invalid = outcome_for({"host": 5}, before, "merge")
    unreadable = outcome_of(
        "talk", {}, prefix="/data", strategy="merge", payload_type=TALK, before=before, unreadable=True
    )
    for outcome, pointer in ((invalid, "/data/host"), (unreadable, "/data")):
        assert (outcome.name, outcome.prefix, outcome.before, outcome.data) == ("talk", "/data", before, {})
        assert [finding.pointer for finding in outcome.findings] == [pointer]
        assert (outcome.typed, outcome.new_secrets, outcome.old_secrets, outcome.required) == (None, {}, {}, ())


def test_a_number_that_not_every_reader_keeps_exact_is_refused() -> None:
    """Otherwise the hash in health could not be computed."""
    outcome = outcome_for({"free": {"a/b": 2**53, "e": -(2**53) + 1}}, None, "replace")
    message = "This number is beyond 2^53 - 1. Send it as text."
    assert outcome.findings == (Finding("/data/free/a~1b", "invalid_value", message),)


@given(parts(nulls=True), parts(nulls=False))
def test_a_replace_does_not_depend_on_the_old_section(part: Any, other: Any) -> None:
    """Null counts as absent; the same push makes the same section regardless of the one that it replaces."""
    alone, over = (
        outcome_for(part, None, "replace"),
        outcome_for(part, stored(outcome_for(other, None, "replace")), "replace"),
    )
    assert (alone.data, alone.new_secrets, alone.old_secrets) == (over.data, over.new_secrets, over.old_secrets)
    assert over.required == ()
