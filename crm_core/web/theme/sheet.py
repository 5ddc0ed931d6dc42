"""The stylesheet of a brand: its tokens for both modes, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from crm_core.web.theme.derive import derive


def theme_sheet(colors: Mapping[str, str]) -> str:
    """The tokens as custom properties, ``light-dark(...)`` where the modes differ. Only derived hex digits."""
    light, dark = derive(colors, "light"), derive(colors, "dark")
    lines = (
        f"--{name}:{color}" if color == dark[name] else f"--{name}:light-dark({color},{dark[name]})"
        for name, color in light.items()
    )
    return ":root{" + ";".join(lines) + "}\n"
