"""What a push makes of a section, on any data: secrets apart, changes exact, merges kept to the place they go to."""

from __future__ import annotations

import copy
from typing import Annotated, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

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
    """The section as it would be kept; sealing is a prefix here."""
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


def made(part: Any, before: Section | None, strategy: Any) -> SectionOutcome:
    return outcome_of("talk", part, prefix="/data", strategy=strategy, payload_type=TALK, before=before)


def at(data: Any, pointer: str) -> Any:
    """What stands at a pointer; None where it leads nowhere."""
    for step in pointer.split("/")[1:]:
        data = data.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(data, dict) else None
    return data


def put(data: dict[str, Any], pointer: str, value: Any) -> None:
    """Set or (None) remove what stands at a pointer."""
    *above, last = (step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
    for step in above:
        data = data.setdefault(step, {})
    if value is None:
        data.pop(last, None)
    else:
        data[last] = value


def bare(value: Any) -> Any:
    """Without empty objects, which no change tells of."""
    if not isinstance(value, dict):
        return value
    return {name: kept for name, item in value.items() if (kept := bare(item)) != {}}


@given(parts(nulls=False), parts(nulls=True), st.sampled_from(["replace", "merge"]))
def test_no_secret_stands_in_the_data_or_its_changes(first: Any, second: Any, strategy: str) -> None:
    """Not in the section, not in what changed, not in a finding; what holds one is shown as set."""
    before = stored(made(first, None, "replace"))
    outcome = made(second, before, strategy)
    assert "SECRET" not in repr((outcome.data, outcome.changes(), outcome.findings, outcome.old_secrets))
    for _, pointer in SECRETS:
        held = pointer in outcome.new_secrets or pointer in outcome.old_secrets
        assert at(outcome.data, pointer) == ({"set": True} if held else None)


@given(parts(nulls=False), parts(nulls=True), st.sampled_from(["replace", "merge"]))
def test_changes_lead_from_the_section_before_to_the_one_after(first: Any, second: Any, strategy: str) -> None:
    """Applied one by one they make it; each says what stood there, and none says that nothing changed but a secret."""
    before = stored(made(first, None, "replace"))
    outcome = made(second, before, strategy)
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
def test_a_merge_keeps_a_secret_exactly_while_it_goes_to_the_same_place(first: Any, patch: Any) -> None:
    """Left out: kept, or asked for anew where the place changed; spoken of: as the patch says."""
    before = stored(made(first, None, "replace"))
    outcome = made(patch, before, "merge")
    merged = merge_patch(first, patch)
    for place, pointer in SECRETS:
        spoken = pointer_spoken_of(patch, pointer)
        held, same = at(first, pointer) is not None, at(first, place) == at(merged, place)
        name = pointer.rsplit("/", 1)[1]
        assert (pointer in outcome.old_secrets) is (held and not spoken and same)
        assert (name in outcome.required) is (held and not spoken and not same)
        assert outcome.new_secrets.get(pointer) == (at(merged, pointer) if spoken else None)
    assert {finding.code for finding in outcome.findings} == {f"{name}_required" for name in outcome.required}


def pointer_spoken_of(patch: Any, pointer: str) -> bool:
    """Whether a patch sets or removes the member, or what it stands in."""
    *above, last = pointer.split("/")[1:]
    for step in above:
        if step not in patch:
            return False
        patch = patch[step]
        if not isinstance(patch, dict):
            return True
    return last in patch


def test_a_number_that_not_every_reader_keeps_exact_is_refused() -> None:
    """Or the hash that health tells could not be made."""
    outcome = made({"free": {"a/b": 2**53, "e": -(2**53) + 1}}, None, "replace")
    assert [finding.pointer for finding in outcome.findings] == ["/data/free/a~1b"]


@given(parts(nulls=True), parts(nulls=False))
def test_a_replace_depends_on_nothing_that_was(part: Any, other: Any) -> None:
    """Null counts as absent; the same push makes the same section whatever it replaces."""
    alone, over = made(part, None, "replace"), made(part, stored(made(other, None, "replace")), "replace")
    assert (alone.data, alone.new_secrets, alone.old_secrets) == (over.data, over.new_secrets, over.old_secrets)
    assert over.required == ()
