"""Colors of a workspace: every token of its pages derived from the five colors that branding pushes.

``color`` knows sRGB and OKLCH; ``shades`` finds readable neighbors of a color; ``derive`` says which
token is made how, and writes the stylesheet.
"""

from __future__ import annotations

from crm_core.web.theme.derive import derive, prefers_dark, theme_sheet

__all__ = ["derive", "prefers_dark", "theme_sheet"]
