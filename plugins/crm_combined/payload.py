"""The combined payload type: several sections in one push, as an object by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_core.plugin.payload import PayloadType


class CombinedType(PayloadType):
    """Has no section; each member of its data is a part for the section of that name."""

    NAME = "combined"

    def split(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parts unchanged, so that sections of any plugin can be combined."""
        return data
