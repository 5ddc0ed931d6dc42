"""Sentences that reach a person are marked, so that `make translations` finds them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import pytest
from msgspec import Meta

from crm_core.language import Languages, localized, using_language
from crm_core.model.fields import convert, metas
from crm_core.plugin.registry import build_registry
from crm_core.settings.installation import load_plugins
from translations import ROOT, catalogues, read

MARKERS = {"gettext": 1, "gettext_noop": 1, "ngettext": 2}
PROSE = re.compile(r"[A-Za-z]{2,}[,.:;]? [a-z]{2,}|\A[A-Z][a-z]+(?:[.!?]\Z| \(\{)")
SENTENCE = re.compile(r"[A-Z`{].*\s.*[.!?]\Z", re.DOTALL)
PLACE = re.compile(r"\{[a-z_]*\}")
NO_PROSE = re.compile(
    r"attachment; filename=|default-src |public, max-age=|text/[a-z]+; charset|<span class=|\\b"  # headers, HTML
    r"|(?:[a-z]\w? |p3 )[a-z0-9 -]+\Z"  # classes of the stylesheet
    r"|(?:payload|record) type\Z|signature scheme\Z|storage backend\Z"  # names that are looked up
    r"|key=\$CRM_KEY_HEX"  # a script to run
    r"|This must be \Z|This value does not fit\Z"  # beginnings that are compared
    r"|set public_url in|there is at least one method"  # for the operator's log
    r"|This is the address of a page|Send the page's own form"  # answers to programs
    r"|This process serves another instance|There is no (?:file|image) at this address"
)
"""Texts of pages' code that no person reads on a page."""
SAID = (
    *(f"plugins/crm_{name}" for name in (
        "activities", "branding", "combined", "customers", "deals", "features", "module_policy", "rfc9421", "smtp",
        "standard_webhooks", "sync_v1", "tasks", "workspace",
    )),
    "crm_core/sync", "crm_core/workspace",
    *(f"crm_core/model/{name}.py" for name in (
        "entitlements", "envelope", "fields", "media_type", "strict_json", "text_types",
    )),
)  # fmt: skip
"""Code that says why a push is refused: pages show it."""
FOR_PROGRAMS = re.compile(
    r"Expected `|\{\} must be (?:one of \{\}|a time such as \S+)\.\Z|This cursor belongs to another list"
    r"|No plugin brings it\.|The stored sections cannot be read\.|Nothing was applied to \{\} yet|Repeated "
    r"|(?:No scope covers|This token's scopes|Tokens cannot do this)"
)
"""Sentences for programs and commands alone."""


def texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """The texts outside of docstrings and markers, of f-strings as a whole with ``{}`` for each value."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, node.value
    elif isinstance(node, ast.JoinedStr):
        yield node.lineno, "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
        for one in node.values:
            yield from texts(one) if isinstance(one, ast.FormattedValue) else ()
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKERS:
        for one in (*node.args[MARKERS[node.func.id] :], *node.keywords):
            yield from texts(one)
    else:
        for one in ast.iter_child_nodes(node):
            yield from texts(one)


def of_code(places: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each unmarked text with its place."""
    for place in places:
        path = ROOT / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            for line, text in texts(ast.parse(file.read_text())):
                yield f"{file.relative_to(ROOT)}:{line}", text


def test_sentences_of_pages_and_emails_are_marked() -> None:
    """No text of several words in their code is outside of a marker, also not in an f-string."""
    found = of_code(("crm_core/web/pages", "crm_core/mail"))
    known = known_messages()
    wrong = [one for one in found if PROSE.search(one[1]) and one[1] not in known and not NO_PROSE.match(one[1])]
    assert wrong == []


def test_a_sentence_in_an_f_string_is_found() -> None:
    """The search sees f-strings, values of marked sentences and constants, but no docstring."""
    assert [text for _, text in texts(ast.parse('x = [f"Saved by {who} now"]'))] == ["Saved by {} now"]
    assert [text for _, text in texts(ast.parse('y = gettext("{a} is fine", a="not so fine")'))] == ["not so fine"]
    assert list(texts(ast.parse('def f():\n    """A doc string."""'))) == []


def known_messages() -> set[str]:
    """Every message of any catalogue, with ``{}`` for each place."""
    ids = [message.id for path in catalogues() for message in read(path) if message.id]
    return {PLACE.sub("{}", one) for each in ids for one in ([each] if isinstance(each, str) else each)}


def test_sentences_about_pushes_are_in_a_catalogue() -> None:
    """The sentences that the sync console shows of a refused push are known, however the code writes them."""
    known = known_messages()
    found = ((place, text) for place, text in of_code(SAID) if SENTENCE.match(text) and not FOR_PROGRAMS.match(text))
    assert [(place, text) for place, text in found if PLACE.sub("{}", text) not in known] == []


def test_expected_values_of_all_types_are_translated() -> None:
    """Each description of a member of a section or a record is in a catalogue."""
    registry = build_registry(load_plugins())
    types = [one.SECTION for one in registry.payload_types.values()]
    types += [one.RECORD for one in registry.record_types.values()]
    described = {text for type_ in types for text in descriptions(type_)}
    assert len(described) > 20
    assert described - known_messages() == set()


def descriptions(type_: Any) -> Iterator[str]:
    """The descriptions of the members of a type, at any depth."""
    yield from (meta.description for meta in metas(type_) if meta.description)
    for one in get_args(type_):
        yield from descriptions(one)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        for field in msgspec.structs.fields(type_):
            yield from descriptions(field.type)


@pytest.mark.parametrize(
    ("type_", "value", "german"),
    [
        (Annotated[int, Meta(ge=1)], 0, "eine ganze Zahl von mindestens 1."),
        (Annotated[float, Meta(le=2)], 3, "eine Zahl von höchstens 2.0."),
        (Annotated[str, Meta(min_length=1)], "", "Text mit mindestens 1 Zeichen."),
        (Annotated[str, Meta(max_length=100)], "x" * 101, "Text mit höchstens 100 Zeichen."),
        (Annotated[list[int], Meta(max_length=1)], [1, 2], "eine Liste mit höchstens 1 Eintrag."),
        (Annotated[list[int], Meta(min_length=2)], [1], "eine Liste mit mindestens 2 Einträgen."),
        (Annotated[dict[str, int], Meta(min_length=1)], {}, "ein Objekt mit mindestens 1 Element."),
        (Annotated[dict[str, int], Meta(max_length=1)], {"a": 1, "b": 2}, "ein Objekt mit höchstens 1 Element."),
        (bool, 1, "true oder false."),
        (bool | None, 1, "true, false oder null."),
        (int | str | None, [], "eine ganze Zahl, Text oder null."),
        (Literal["a", "b"], "c", "a, b."),
        (list[int], {}, "eine Liste."),
        (dict[str, int], [], "ein Objekt."),
    ],
)
def test_composed_expectations_are_translated(type_: Any, value: Any, german: str) -> None:
    """A kind, its limits and what else fits, which the API says in English, are all in German on a German page."""
    (finding,) = convert(value, type_)[1]
    assert finding.message.startswith("This must be ")
    with using_language(Languages().by_tag["de"]):
        text = localized(finding.message)
    assert text.endswith(german), text
    assert "This" not in text


def test_no_sentence_is_half_translated() -> None:
    """Expectations in the English words of a plugin stay English as a whole."""
    with using_language(Languages().by_tag["de"]):
        assert localized("This must be a spline.") == "This must be a spline."
        assert localized("This must be text or a spline.") == "This must be text or a spline."
        assert localized("Nothing of this, or that.") == "Nothing of this, or that."


@pytest.mark.parametrize("part", ["text or text, ", "true or ", "null, "])
def test_a_text_of_very_many_parts_is_not_tried_in_every_way(part: str) -> None:
    """Parts that are looked up are looked up once: a text that a sender chose would else occupy the server for ever."""
    with using_language(Languages().by_tag["de"]):
        for length in (150, 600, 5000):
            text = part * (length // len(part)) + "x"
            assert localized(text) == text
            assert localized(f"This must be {text}.") == f"This must be {text}."


def test_sentences_of_plugins_are_recognized(tmp_path: Path) -> None:
    """A plugin's catalogue has sentences with places; each language of the instance translates them when filled in."""
    (tmp_path / "de.po").write_text('msgid "No ship is called {name}."\nmsgstr "Kein Schiff heißt {name}."\n')
    (tmp_path / "fr.po").write_text('msgid "Save"\nmsgstr "Enregistrer"\n')
    languages = Languages([tmp_path]).by_tag
    with using_language(languages["de"]):
        assert localized("No ship is called Ada.") == "Kein Schiff heißt Ada."
        assert localized("A ship is called Ada.") == "A ship is called Ada."
    with using_language(languages["fr"]):
        assert localized("No ship is called Ada.") == "No ship is called Ada."
