"""The plugins that docs/plugins.md shows, as files: lone ones, and a package that is built and installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from doc_pages import ROOT, blocks

NAME = "docs/plugins.md"
BACKEND = ROOT / "docs/examples/sqlite_storage.py"
EXAMPLES = [BACKEND, BACKEND.with_name("invoices.py")]


def files() -> dict[str, str]:
    """The page's example files by name."""
    return {block.mark.removeprefix("file: "): block.text for block in blocks(NAME, "python", "toml")}


def lone_files(folder: Path) -> Path:
    """A folder with the page's lone plugin files, those that it links to as well."""
    folder.mkdir()
    for name, text in files().items():
        if name.endswith(".py") and not name.startswith("test_"):
            (folder / name).write_text(text)
    for example in EXAMPLES:
        (folder / example.name).write_text(example.read_text())
    return folder


def installed_package(folder: Path) -> Path:
    """The page's package, built as a wheel and installed; the folder to have on the path."""
    source, site = folder / "acme-telephony", folder / "site"
    package = source / "acme_telephony"
    package.mkdir(parents=True)
    (source / "pyproject.toml").write_text(files()["pyproject.toml"])
    text = files()["telephony.py"]
    at = text.index("@hookimpl")
    (package / "__init__.py").write_text("")
    (package / "payload.py").write_text(text[:at].replace("from crm_core.plugin import hookimpl\n", ""))
    (package / "hooks.py").write_text(
        "from crm_core.plugin import hookimpl\nfrom acme_telephony.payload import TelephonyType\n\n\n"
        + text[at:].replace(" -> list[PayloadType]", "")
    )
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "wheel", *options, "--wheel-dir", folder, source], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", *options, "--target", site, wheel], check=True, capture_output=True)
    return site
