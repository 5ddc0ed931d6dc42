"""Several sections in one push: an object of sections by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_core.plugin.payload import PayloadType


class CombinedType(PayloadType):
    """Has no section of its own; each member of its data is a part for the section of that name."""

    NAME = "combined"

    def split(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parts as they are: sections of later plugins take part without being known here."""
        return data
