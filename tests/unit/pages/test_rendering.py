"""Templates are compiled once for each version, and not again at each start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from crm_core.web.pages.layout.rendering import CompiledTemplates, Renderer, breakable


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of templates next to which Python may write."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    return tmp_path


def render(folder: Path, text: str) -> str:
    cache = CompiledTemplates(folder)
    return (
        Environment(loader=DictLoader({"a.html": text}), bytecode_cache=cache, autoescape=True)
        .get_template("a.html")
        .render()
    )


def files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.glob("__pycache__/*")]


def test_a_template_is_compiled_once(stored: Path) -> None:
    """The next start reads what was compiled; a changed text is compiled again."""
    assert render(stored, "one") == "one"
    (compiled,) = files(stored)
    place = next(stored.glob("__pycache__/*"))
    place.write_bytes(compiled.replace(b"one", b"two"))
    assert render(stored, "one") == "two"  # read, not compiled
    assert render(stored, "three") == "three"
    assert len(files(stored)) == 1


@pytest.mark.parametrize("broken", [b"", b"j2", b"no template"])
def test_a_broken_file_is_compiled_again(stored: Path, broken: bytes) -> None:
    """A file that is cut off, or another one, is no error."""
    render(stored, "one")
    place = next(stored.glob("__pycache__/*"))
    place.write_bytes(broken)
    assert render(stored, "one") == "one"


def test_nothing_is_stored_where_python_stores_nothing(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTHONDONTWRITEBYTECODE applies to templates, and a folder that cannot be made is no error."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert render(stored, "one") == "one"
    assert files(stored) == []
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (stored / "__pycache__").write_text("a file")
    assert render(stored, "one") == "one"


def test_every_template_is_loaded_before_the_first_page() -> None:
    """A page compiles nothing: it would block all other requests."""
    renderer = Renderer("/static")
    renderer.load()
    environment = renderer._templates
    assert environment.cache is not None
    assert {name for _, name in environment.cache} == set(environment.list_templates(extensions=["html"]))


def test_an_address_breaks_between_its_words() -> None:
    """A line may end after the at sign and after a dot, never inside a word; the text stays escaped."""
    assert breakable("jana@a<b.example") == "jana@<wbr>a&lt;b.<wbr>example"
