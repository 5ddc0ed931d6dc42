"""Two people who changed one record: what a form was sent with, which fields differ, and what is saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from crm_core.web.pages.browser import Form
from crm_core.web.pages.records.forms import RecordForm, Values
from crm_core.web.pages.records.typed_values import entries_of

Side = Literal["both", "mine", "theirs"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A field that at least one side changed. ``picked``: ``mine`` or ``theirs`` if that was chosen already."""

    name: str
    side: Side
    mine: str
    theirs: str
    was: str
    picked: str


class Merge(msgspec.Struct, frozen=True, kw_only=True):
    """Two versions of a form, the ``base`` that both started from, and what was picked by field."""

    base: Values
    mine: Values
    theirs: Values
    picks: Mapping[str, str]

    @property
    def values(self) -> Values:
        """A field that one side changed as that side has it; one that both changed as mine."""
        return {
            name: mine if mine != self.base.get(name, "") else self.theirs[name] for name, mine in self.mine.items()
        }

    @property
    def undecided(self) -> list[str]:
        """The fields that both changed and for which no version is picked."""
        return [one.name for one in self.differences() if one.side == "both" and not one.picked]

    def differences(self) -> Iterator[Difference]:
        """Every field that the two sides have differently."""
        for name, mine in self.mine.items():
            was, theirs = self.base.get(name, ""), self.theirs[name]
            if mine != theirs:
                side: Side = "mine" if theirs == was else "theirs" if mine == was else "both"
                picked = self.picks.get(name, "")
                yield Difference(name=name, side=side, mine=mine, theirs=theirs, was=was, picked=picked)


class SentForm(msgspec.Struct, frozen=True, kw_only=True):
    """A record's form as it was sent. ``base``: what its page was made of; ``was``: what an open conflict started from.

    ``picks``: ``mine`` or ``theirs`` by field; ``open``: fields of the conflict without a choice. The names of the
    form's own fields contain a colon, as no member's does.
    """

    mine: Values
    base: Values
    was: Values
    picks: Mapping[str, str]
    open: tuple[str, ...]
    revision: str

    @classmethod
    def of(cls, stored: RecordForm, form: Form) -> SentForm:
        """The form as it was sent; a field for which theirs was picked has theirs."""
        mine, base = stored.sent(form).values, stored.known(entries_of(form.get("form:base", "")))
        picks = {name: form.get(f"form:pick:{name}", "") for name in mine}
        mine |= {name: base[name] for name, picked in picks.items() if picked == "theirs"}
        wanted = form.get("form:decide", "").split()
        return cls(
            mine=mine,
            base=base,
            was=stored.known(entries_of(form.get("form:was", ""))) if wanted else base,
            picks=picks,
            open=tuple(name for name in wanted if not picks.get(name)),
            revision=form.get("revision", ""),
        )

    def needs_choice(self, stored: RecordForm) -> bool:
        """Whether the user has to choose something before anything is saved."""
        return bool(self.open) or self._is_outdated(stored)

    def merge(self, stored: RecordForm) -> Merge:
        """Both versions and what they started from."""
        base = self.base if self._is_outdated(stored) else self.was
        return Merge(base=base, mine=self.mine, theirs=stored.values, picks=self.picks)

    def _is_outdated(self, stored: RecordForm) -> bool:
        return self.revision != str(stored.record["revision"]) and stored.values != self.base
