"""The input of a form that was refused before its page saw it: shown again, to be saved once the reason is gone."""

from __future__ import annotations

from typing import Final

import msgspec

from crm_core.language import gettext, label_of
from crm_core.model.ids import is_id
from crm_core.services import Services
from crm_core.web.callers import is_same_origin
from crm_core.web.pages.browser import request
from crm_core.web.pages.layout.labels import choice_labels
from crm_core.web.pages.layout.parts import Fact

_CSRF: Final = "csrf"
_PICKED: Final = ":text"
"""The end of the name of a field that has the name of the record or person whose id or address another field has."""
_FOR_READERS: Final = 50
"""Fields that are shown as text; all are sent again."""
_MOST_FIELDS: Final = 5000


class UnsavedInput(msgspec.Struct, frozen=True, kw_only=True):
    """A form that can be sent again: its address and all of its fields; ``shown``: what was typed, for readers."""

    action: str
    fields: tuple[tuple[str, str], ...]
    shown: tuple[Fact, ...]


async def unsaved_input(services: Services, most: int) -> UnsavedInput | None:
    """The input of the current request, of at most so many bytes; None if nothing was typed, or on another site.

    A form of a page has hundreds of fields; thousands of short ones would make a page of many times their size.
    """
    length = request.content_length
    if length is None or length > most or request.mimetype != "application/x-www-form-urlencoded":
        return None  # not our own form; it is not even read
    if not is_same_origin(services, request.sent):
        return None
    form = await request.form
    fields = tuple((name, value) for name, value in form.items(multi=True) if name != _CSRF)
    texts = ((name, form.get(f"{name}{_PICKED}", value)) for name, value in fields if ":" not in name)
    record_type = services.registry.record_types.get(request.path.split("/")[5])
    choices = {one.name: dict(choice_labels(one)) for one in (record_type.members if record_type else ())}
    texts = ((name, choices.get(name, {}).get(text, text)) for name, text in texts)
    shown = [Fact(_label(name), text) for name, text in texts if text.strip() and not is_id(text)]
    shown = [fact for fact in shown if fact.name != gettext("Revision")]
    if not shown or len(fields) > _MOST_FIELDS:
        return None
    return UnsavedInput(action=request.full_path.rstrip("?"), fields=fields, shown=tuple(shown[:_FOR_READERS]))


def _label(name: str) -> str:
    parts = (part.removesuffix("_id").replace("_", " ").capitalize() for part in name.split("."))
    return ", ".join(map(label_of, parts))
