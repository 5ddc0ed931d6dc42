"""A signed-in user's request: the user, the workspace, its names and formats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from crm_core.errors import AccessError
from crm_core.language import current, label_of
from crm_core.model.caller import Caller
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.formats import Formats
from crm_core.web.pages.layout.frame import title_of
from crm_core.web.pages.layout.names import Names
from crm_core.web.pages.tenant_context import TenantContext
from crm_core.workspace import keys_of, require


@dataclass(frozen=True, kw_only=True)
class PageContext(TenantContext):
    """A signed-in user's request."""

    caller: Caller

    @cached_property
    def names(self) -> Names:
        """The names of those who did something."""
        return Names(self.services, self.tenant, self.caller)

    @cached_property
    def formats(self) -> Formats:
        """The workspace's formats, at the time of the request."""
        return Formats(self.branding.regional, self.services.now())

    @property
    def keys(self) -> frozenset[str]:
        """The feature keys and core keys of the user."""
        return keys_of(self.workspace, self.caller)

    def title_of(self, record_type: RecordType) -> str:
        """The title of a record type: its module's, or its own where it belongs to another's."""
        own = self.workspace.modules.states.get(record_type.NAME)
        if own and record_type.MODULE is None:
            return title_of(own)
        return label_of(record_type.TITLE, record_type.NAME)

    def singular_of(self, record_type: RecordType) -> str:
        """The name of one record inside a sentence, as pushed for its module, or the type's own."""
        own = self.workspace.modules.states.get(record_type.NAME)
        pushed = own.singular if own and record_type.MODULE is None else None
        name = pushed or label_of(record_type.SINGULAR, record_type.NAME)
        # German writes nouns with a capital; a pushed one is in the workspace's language.
        german = (self.branding.regional.locale.language if pushed else current().locale.language) == "de"
        return name if german or name[1:] != name[1:].lower() else name[0].lower() + name[1:]

    def one_of(self, record_type: RecordType) -> str:
        """The same at the beginning of a sentence."""
        name = self.singular_of(record_type)
        return name[0].upper() + name[1:]

    def may(self, key: str, *, writes: bool = False) -> bool:
        """Whether the user may now do what a feature key names."""
        try:
            require(self.workspace, self.caller, key, writes=writes)
        except AccessError:
            return False
        return True
