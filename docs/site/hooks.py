"""The pages of the site besides docs/: the files at the top of the project, and the reference of the public modules."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]

TOP_LEVEL = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "LICENSE": "LICENSE.txt",
}

REFERENCE = {
    "client": ("crm_core.client",),
    "plugin": tuple(
        f"crm_core.plugin.{name}"
        for name in ("specs", "payload", "policy", "record_type", "member", "signature", "storage")
    ),
    "testing": tuple(f"crm_core.testing.{name}" for name in ("payload", "record_type", "signature", "storage", "disk")),
}

_LINK = re.compile(r"(?<=\]\()(?P<up>\.\./|docs/)?(?P<name>[^)#\s:]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files of docs/."""
    for name, uri in TOP_LEVEL.items():
        files.append(File.generated(config, uri, content=(ROOT / name).read_text(encoding="utf-8")))
    for name, modules in REFERENCE.items():
        text = f"# crm_core.{name}\n\n" + "\n\n".join(f"::: {module}" for module in modules) + "\n"
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links between the top level and docs/ at the pages of the site, which are all in one folder."""
    del config, files
    top = page.file.src_uri in TOP_LEVEL.values()

    def moved(link: re.Match[str]) -> str:
        up, name = link["up"] or "", link["name"]
        if up == ("" if top else "../"):
            return TOP_LEVEL.get(name, up + name)
        return name if top and up == "docs/" else up + name

    return _LINK.sub(moved, markdown)
