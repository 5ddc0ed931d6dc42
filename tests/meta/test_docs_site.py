from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

import crm_core.client
from chromium import chromium
from crm_core.plugin import specs
from crm_core.testing.payload import PayloadTypeSuite
from crm_core.testing.record_type import RecordTypeSuite
from crm_core.testing.signature import SchemeSuite
from crm_core.testing.storage import StorageSuite
from doc_pages import BIN, ROOT

pytest.importorskip("mkdocs", reason="the site needs the extra docs: pip install -e '.[docs]'")

_LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=\"?((?:https?:)?//[^\" >]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as ``make docs`` builds it: strictly, so a link or an anchor that leads nowhere fails.

    Without ``--quiet``, which hides warnings from the strict mode too.
    """
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [BIN / "mkdocs", "build", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_every_page_is_in_the_site_and_its_menu(site: Path) -> None:
    """Pages of docs/ and of the top level, each linked from the menu of the first page."""
    menu = (site / "index.html").read_text(encoding="utf-8")
    pages = [path.stem for path in (ROOT / "docs").glob("*.md")] + ["contributing", "security", "changelog"]
    assert [name for name in pages if not (site / f"{name}.html").is_file()] == []
    assert [name for name in pages if f'href="{name}.html"' not in menu] == []


@pytest.mark.slow
def test_the_site_loads_nothing_from_another_host(site: Path) -> None:
    """No page names a script, style, font or image elsewhere, and no style sheet does."""
    found = {
        f"{path.relative_to(site)}: {link}"
        for path in site.rglob("*.html")
        for link in _LOADED.findall(path.read_text(encoding="utf-8"))
    }
    assert found == set()
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert len(styles) > 1
    assert [text for text in styles if re.search(r"url\([\"']?(?:https?:)?//", text)] == []


@pytest.mark.slow
def test_the_reference_has_every_public_name(site: Path) -> None:
    """All that the client offers but its type alias, each hook, and the suite of each kind of plugin."""
    offered = [f"crm_core.client.{name}" for name in crm_core.client.__all__ if name != "Strategy"]
    hooks = [f"crm_core.plugin.specs.{name}" for name in dir(specs) if name.startswith("crm_")]
    suites = (PayloadTypeSuite, RecordTypeSuite, SchemeSuite, StorageSuite)
    wanted = {
        "client": [*offered, "crm_core.client.Client.push"],
        "plugin": [*hooks, "crm_core.plugin.storage.StorageBackend.commit"],
        "testing": [f"{suite.__module__}.{suite.__name__}" for suite in suites],
    }
    for page, names in wanted.items():
        text = (site / f"reference/{page}.html").read_text(encoding="utf-8")
        assert [name for name in names if f'id="{name}"' not in text] == []


@pytest.mark.slow
@pytest.mark.browser
def test_search_works_in_a_page_opened_as_a_file(site: Path) -> None:
    """A word of the glossary is found without a server, and no request leaves the folder."""
    program = """
import sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=sys.argv[2], args=["--no-sandbox"])
    page = browser.new_page()
    page.on("request", lambda request: print("request", request.url))
    page.goto(sys.argv[1] + "/index.html")
    page.locator('[data-md-component="search-query"]').first.click()
    page.keyboard.type("quarantine")
    page.wait_for_selector(".md-search-result__item")
    print("found", page.locator(".md-search-result__item h1").all_inner_texts())
    browser.close()
"""
    done = subprocess.run(
        [BIN / "python", "-c", program, site.as_uri(), str(chromium())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *requests, found = done.stdout.splitlines()
    assert "Glossary" in found
    assert len(requests) > 1
    assert [line for line in requests if not line.startswith(f"request {site.as_uri()}/")] == []
