from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from crm_core.plugin import specs
from doc_pages import ROOT, headings, page, pages, section

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
NAMES = [str(path.relative_to(ROOT)) for path in pages()]


def _anchors(path: Path) -> set[str]:
    """The anchors that a renderer gives a page's headings: lower case, spaces as -, no punctuation."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings(path.read_text(encoding="utf-8")))
    return {one.replace(" ", "-") for one in plain}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """Every link of a page to another one, to a heading or to a file of the project resolves."""
    found = [first or second for first, second in _LINK.findall(_FENCED.sub("", page(name)))]
    broken = []
    for link in found:
        target, _, anchor = link.partition("#")
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path = (ROOT / name).parent / target if target else ROOT / name
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "README.md"])
def test_every_page_is_reached_from_the_readme(name: str) -> None:
    """The README's table of docs leads to each page."""
    assert f"({name})" in section(page("README.md"), "Docs")


@pytest.mark.parametrize("name", NAMES)
def test_pages_begin_with_their_title_and_end_with_a_newline(name: str) -> None:
    """A page has one title, at its top, and no fence that is left open."""
    text = page(name)
    assert text.startswith("# ")
    assert len(re.findall(r"^# ", _FENCED.sub("", text), re.MULTILINE)) == 1
    assert text.endswith("\n")
    assert len(re.findall(r"^```", text, re.MULTILINE)) % 2 == 0


def test_the_map_of_the_house_names_every_package() -> None:
    """The README's map has a row for each package of the core, and none that is not there."""
    rows = re.findall(r"^\| `crm_core/([a-z_]+)` \|", page("README.md"), re.MULTILINE)
    packages = [path.parent.name for path in (ROOT / "crm_core").glob("*/__init__.py")]
    assert sorted(rows) == sorted(packages)


def test_a_new_x_names_every_hook() -> None:
    """The README's table reports where each kind of plugin is returned from."""
    hooks = [name for name in dir(specs) if name.startswith("crm_")]
    table = section(page("README.md"), "A new X goes here")
    assert [hook for hook in hooks if f"`{hook}`" not in table] == []


def test_the_layers_are_those_that_are_checked() -> None:
    """The architecture page shows the layers, in the order in which import-linter checks them."""
    contracts = tomllib.loads(page("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (layers,) = [one["layers"] for one in contracts if one["type"] == "layers"]
    shown = re.findall(r"^([a-z |]+?)  ", section(page("docs/architecture.md"), "Layers"), re.MULTILINE)
    assert shown == [re.sub(r"crm_core\.|[()]", "", layer) for layer in layers]


def test_the_glossary_is_in_order() -> None:
    """Each word appears once, where a reader looks for it."""
    words = re.findall(r"^\| ([a-z0-9 -]+) \| ", page("docs/glossary.md"), re.MULTILINE)[1:]
    assert len(words) > 50
    assert words == sorted(words)
    assert len(set(words)) == len(words)
