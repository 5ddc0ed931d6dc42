"""Recent changes, grouped by who made them: an import is one line with its count."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from crm_core.language import gettext, gettext_noop, noun
from crm_core.plugin.record_type import RecordType
from crm_core.records.recent_changes import MOST_CHANGES, NewestChange
from crm_core.web.pages.layout.formats import Moment
from crm_core.web.pages.layout.labels import choice_labels, member_label
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import CORE_LABELS
from crm_core.web.pages.records.queries import counted

_GROUPS: Final = 6
_NAMED: Final = 3
_SENTENCES: Final = {
    "created": (gettext_noop("{who} created {what}"), gettext_noop("You created {what}")),
    "updated": (gettext_noop("{who} changed {what}"), gettext_noop("You changed {what}")),
    "archived": (gettext_noop("{who} archived {what}"), gettext_noop("You archived {what}")),
    "restored": (gettext_noop("{who} restored {what}"), gettext_noop("You restored {what}")),
    "erased": (gettext_noop("{who} erased {what}"), gettext_noop("You erased {what}")),
    "moved": (gettext_noop("{who} moved {what} to {lane}"), gettext_noop("You moved {what} to {lane}")),
    "finished": (gettext_noop("{who} finished {what}"), gettext_noop("You finished {what}")),
}
_GAP: Final = "\0"  # in a sentence, where the records are named


class RecentGroup(msgspec.Struct, frozen=True, kw_only=True):
    """All that one person or system did in an hour. ``person``: the full name; ``before`` and ``after``: the sentence.

    ``name`` and ``href``: of a single record; else ``many``. ``note``: which fields, or which records.
    """

    person: str
    before: str
    name: str
    href: str
    many: str
    after: str
    note: str
    at: Moment
    until: str


async def recent_of(context: PageContext, types: list[RecordType]) -> tuple[RecentGroup, ...]:
    """The newest groups of changes to records of types that the user may view."""
    found = {one.NAME: one for one in types}
    changes = await context.services.records.recent_changes.of(context.tenant, found)
    groups: dict[tuple[Any, ...], list[NewestChange]] = {}
    for change in changes:
        key = (change.actor, change.type, change.at[:13], *_act(found[change.type], change))
        if key in groups or len(groups) < _GROUPS:
            groups.setdefault(key, []).append(change)
    return tuple([await _group(context, found[group[0].type], group, len(changes)) for group in groups.values()])


def _act(record_type: RecordType, change: NewestChange) -> tuple[str, Any]:
    """The act and its value: a move to a lane, finishing, or the kind of change."""
    if record_type.LANES and record_type.LANES in change.chosen:
        return "moved", change.chosen[record_type.LANES]
    if record_type.DUE and record_type.DUE.done and change.chosen.get(record_type.DUE.done) is True:
        return "finished", True
    return change.change, None


async def _group(context: PageContext, record_type: RecordType, group: list[NewestChange], read: int) -> RecentGroup:
    act, value = _act(record_type, group[0])
    ids = list(dict.fromkeys(change.id for change in group))
    name_of = context.services.records.name_of
    names = [await name_of(context.tenant, record_type.NAME, id_) or "" for id_ in ids[:_NAMED]]
    single = len(ids) == 1
    href = f"{context.root}/{record_type.NAME}/{ids[0]}" if single and names[0] else ""
    if single:
        note = _fields(record_type, group) if act == "updated" else context.singular_of(record_type)
    else:
        note = ", ".join(filter(None, names))
        if len(ids) > _NAMED:
            note = gettext("{names} and {n} more", names=note, n=context.formats.number(len(ids) - _NAMED))
    cut = read >= MOST_CHANGES and len(group) >= MOST_CHANGES // 2
    first, last = (context.formats.clock(change.at)[:5] for change in (group[-1], group[0]))
    lanes = dict(choice_labels(record_type.member(record_type.LANES))) if record_type.LANES else {}
    who = await context.names.actor(group[0].actor) if group[0].actor else gettext("Someone")
    is_caller = group[0].actor == context.caller.actor
    sentence = gettext(_SENTENCES[act][is_caller], who=who, what=_GAP, lane=lanes.get(value, value))
    before, _, after = sentence.partition(_GAP)
    many = counted(context, record_type, len(ids))
    return RecentGroup(
        person=context.caller.name if is_caller else who,
        before=before,
        name=names[0] or gettext("an erased record") if single else "",
        href=href,
        many="" if single else gettext("at least {records}", records=many) if cut else many,
        after=after,
        note=note,
        at=context.formats.moment(group[0].at),
        until=gettext("{first} to {last}", first=first, last=last) if not single and first != last else "",
    )


def _fields(record_type: RecordType, group: list[NewestChange]) -> str:
    """The labels of the changed fields, in one phrase."""
    labels = {name: gettext(label) for name, label in CORE_LABELS.items()}
    labels |= {one.name: member_label(one) for one in record_type.members}
    names = [
        noun(labels.get(name, name)) for name in dict.fromkeys(name for change in group for name in change.members)
    ]
    shown = ", ".join(names[:_NAMED])
    return gettext("{names} and {n} more", names=shown, n=len(names) - _NAMED) if len(names) > _NAMED else shown
