"""Docstrings as Markdown: the mark before an example's block, which Markdown does not need, is removed."""

from __future__ import annotations

import re
from typing import Any

import griffe

_MARK = re.compile(r"(?<=\S)::(?=\n\n    )|^::\n", re.MULTILINE)


class PlainDocstrings(griffe.Extension):
    """Reads every docstring once, before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_more: Any) -> None:
        """Replace ``word::`` by ``word:`` and drop a lone ``::``."""
        if obj.docstring is not None:
            obj.docstring.value = _MARK.sub(lambda mark: "" if mark[0].endswith("\n") else ":", obj.docstring.value)
