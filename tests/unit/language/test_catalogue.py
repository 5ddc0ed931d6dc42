from __future__ import annotations

import os
from pathlib import Path

import pytest

from crm_core.errors import SetupError
from crm_core.language import ENGLISH, Languages, gettext, label_of, localized, ngettext, noun, using_language
from crm_core.language.catalogue import read_catalogue

FRENCH = r"""
# A comment.
msgid ""
msgstr ""
"Language: fr\n"
"Plural-Forms: nplurals=2; plural=(n > 1);\n"

#: a/file.py
msgid "Save"
msgstr "Enregistrer"

msgctxt "visits"
msgid "Open"
msgstr "Ouverte"

msgid "Open"
msgstr "Ouvert"

msgid "Email sent to {email}"
msgstr ""
"Message envoyé "
"à {email}"

msgid "{n} match"
msgid_plural "{n} matches"
msgstr[0] "{n} résultat"
msgstr[1] "{n} résultats"

#, fuzzy
msgid "Cancel"
msgstr "Peut-être"

msgid "Close"
msgstr ""

msgid "A \"quoted\" text\n"
msgstr "Un texte « cité »\n"

msgid "Your role does not include {key}; an admin can change that."
msgstr "{key} manque à votre rôle."
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fr.po").write_text(FRENCH)
    return tmp_path


def test_messages_are_looked_up_and_filled_in_in_the_current_language(folder: Path) -> None:
    """A sentence, a plural and a word with a context come from the catalogue; outside of it, all is English."""
    french = Languages([folder]).by_tag["fr"]
    with using_language(french):
        assert gettext("Save") == "Enregistrer"
        assert gettext("Email sent to {email}", email="a@b.example") == "Message envoyé à a@b.example"
        assert gettext('A "quoted" text\n') == "Un texte « cité »\n"
        assert [ngettext("{n} match", "{n} matches", n) for n in (0, 1, 2)] == [
            "0 résultat", "1 résultat", "2 résultats",
        ]  # fmt: skip
        assert label_of("Open", "visits") == "Ouverte"
        assert label_of("Open", "deals") == label_of("Open") == "Ouvert"
        assert localized("Your role does not include a.b; an admin can change that.") == "a.b manque à votre rôle."
    assert gettext("Save") == "Save"
    assert [ngettext("{n} match", "{n} matches", n) for n in (0, 1)] == ["0 matches", "1 match"]
    assert localized("Your role does not include a.b; an admin can change that.").startswith("Your role")


def test_what_is_not_translated_stays_english(folder: Path) -> None:
    """Messages that are missing, empty or fuzzy are shown in English."""
    with using_language(read_catalogue(folder / "fr.po")):
        assert [gettext(text) for text in ("Unknown", "Close", "Cancel")] == ["Unknown", "Close", "Cancel"]
        assert localized("Any other sentence.") == "Any other sentence."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('msgid "For {email}"\nmsgstr "Pour {mail}"\n', "fr.po:1: the message has no {mail}"),
        ('msgid "a"\nmsgstr "b"\nmsgid c\n', "fr.po:3: write msgid, msgstr or a text in quotes"),
        ('msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=(n >< 1);\\n"\n', "fr.po:1: Plural-Forms:"),
        ('msgid "a"\nmsgstr "b"\n\nmsgid "c"\n', "fr.po:4: a message has a msgid, then a msgstr"),
        ('msgid "a"\nmsgid "b"\nmsgstr "c"\n', "fr.po:1: a message has a msgid, then a msgstr"),
        ('msgid "a"\nmsgstr "b\\', "fr.po:2: write msgid, msgstr or a text in quotes"),
        ('msgid "a"\nmsgstr "{n}"\n', "fr.po:1: the message has no {n}"),
        ('msgid "a"\nmsgid_plural "b"\nmsgstr[0] "c"\nmsgstr[2] "d"\n', "fr.po:1: number the plural forms"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    """A translation that could not be filled in, or a line that is none, stops the start with file and line."""
    folder = tmp_path / "translations"
    folder.mkdir()
    (folder / "fr.po").write_text(text)
    with pytest.raises(SetupError, match=r"translations/fr\.po:") as refused:
        _ = Languages([folder]).by_tag
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("nplurals=2; plural=n%5", "points past the 2 forms"),
        ("nplurals=2; plural=n", "points past the 2 forms"),
        ("nplurals=2; plural=n>5000 ? 2 : 0", "points past the 2 forms"),
        ("nplurals=2; plural=n>1 ? 1-n : 0", "negative"),
        ("nplurals=2; plural=5/(n-n)", "divides by zero"),
        ("nplurals=2; plural=n%0", "divides by zero"),
        ("nplurals=2; plural=" + "(" * 300 + "n" + ")" * 300, "too complex"),
        ("nplurals=2; plural=" + "n*" * 499 + "n", "points past the 2 forms"),
        ("nplurals=2; plural=n != \u0661", "ASCII"),
        ("plural=n%3", "'{n} a' has 2 plural forms, Plural-Forms needs 3"),
    ],
)
def test_a_plural_rule_fits_the_forms_for_every_count(tmp_path: Path, rule: str, problem: str) -> None:
    """A rule that would fail for some count is refused with file and line, before a page shows that count."""
    forms = 'msgid "{n} a"\nmsgid_plural "{n} b"\nmsgstr[0] "{n} c"\nmsgstr[1] "{n} d"\n'
    (tmp_path / "fr.po").write_text(f'msgid ""\nmsgstr "Plural-Forms: {rule};\\n"\n\n{forms}')
    with pytest.raises(SetupError, match=r"^fr\.po:[14]: ") as refused:
        read_catalogue(tmp_path / "fr.po")
    assert problem in str(refused.value)


def test_a_later_rule_fits_the_forms_of_earlier_folders(folder: Path, tmp_path: Path) -> None:
    """A configuration that changes the rule cannot leave the messages of a plugin with too few forms."""
    later = tmp_path / "later"
    later.mkdir()
    (later / "fr.po").write_text('msgid ""\nmsgstr "Plural-Forms: nplurals=3; plural=n%3;\\n"\n')
    with pytest.raises(SetupError, match=r"fr\.po:1: '\{n\} match' has 2 plural forms, Plural-Forms needs 3"):
        _ = Languages([folder, later]).by_tag


@pytest.mark.parametrize("name", ["french.po", "xx.po", "qqq.po", "pt_XX.po", "DE.po"])
def test_a_file_is_named_after_its_language(tmp_path: Path, name: str) -> None:
    """Another name is refused, even of an empty file: it would be offered as a language, without names of months."""
    (tmp_path / name).write_text("")
    with pytest.raises(SetupError, match=f"{name}: name the file after a known language") as refused:
        _ = Languages([tmp_path]).by_tag
    assert len(refused.value.problems) == 1


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A pipe, which would never end, and a folder are refused in a sentence each."""
    os.mkfifo(tmp_path / "fr.po")
    (tmp_path / "it.po").mkdir()
    with pytest.raises(SetupError, match=r"/fr\.po: this is not a regular file") as refused:
        _ = Languages([tmp_path]).by_tag
    assert len(refused.value.problems) == 2


def test_a_file_has_a_size_limit(tmp_path: Path) -> None:
    """A file far over what a catalogue can be is refused before it is read."""
    with (tmp_path / "fr.po").open("wb") as file:
        file.truncate((4 << 20) + 1)
    with pytest.raises(SetupError, match=r"/fr\.po: the file is over 4 MiB"):
        _ = Languages([tmp_path]).by_tag


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    """Some editors write one at the start of a file."""
    (tmp_path / "fr.po").write_text('msgid "Save"\nmsgstr "Enregistrer"\n', encoding="utf-8-sig")
    assert read_catalogue(tmp_path / "fr.po").texts == {"Save": "Enregistrer"}


def test_the_message_of_the_later_folder_counts(folder: Path, tmp_path: Path) -> None:
    """A configuration adds to a catalogue and changes single messages of it."""
    later = tmp_path / "later"
    later.mkdir()
    (later / "fr.po").write_text('msgid "Save"\nmsgstr "Sauver"\n\nmsgid "Close"\nmsgstr "Fermer"\n')
    with using_language(Languages([folder, later]).by_tag["fr"]):
        assert (gettext("Save"), gettext("Close"), label_of("Open")) == ("Sauver", "Fermer", "Ouvert")
        assert ngettext("{n} match", "{n} matches", 0) == "0 résultat"


@pytest.mark.parametrize(
    ("wishes", "tag"),
    [
        ((None, "de"), "de"),
        ((None, "de-AT"), "de"),
        ((None, "DE-at"), "de"),
        (("xx", "de"), "de"),
        (("fr", "de-DE"), "fr"),
        (("en", "de-DE"), "en"),
        ((None, "pl-PL", "fr-CH"), "fr"),
        ((None, "pl"), "en"),
        ((), "en"),
    ],
)
def test_the_first_wish_with_a_catalogue_is_chosen(folder: Path, wishes: tuple[str | None, ...], tag: str) -> None:
    """The user's choice comes before the workspace's locale, a language serves its regions, and English is the rest."""
    assert Languages([folder]).choose(wishes).tag == tag


def test_english_is_one_language_however_it_is_wished_for() -> None:
    """British English is the English that dates are compared with, not a copy of it."""
    assert Languages().choose(["en-GB"]) is ENGLISH


def test_nouns_keep_their_capital_in_german() -> None:
    """A label inside a sentence is in lower case, except in German."""
    assert [noun("Customers"), noun("API tokens")] == ["customers", "API tokens"]
    with using_language(Languages().by_tag["de"]):
        assert noun("Kunden") == "Kunden"
    assert Languages().by_tag["de"].name == "Deutsch"
    assert ENGLISH.name == "English"


def test_a_sentence_has_one_period_after_a_date_that_ends_with_one() -> None:
    """German abbreviates months with a period."""
    assert gettext("It ends on {day}.", day="24. Nov.") == "It ends on 24. Nov."
    assert gettext("It ends on {day}. Soon.", day="24. Nov.") == "It ends on 24. Nov. Soon."
    assert gettext("It ends on {day}.", day="24 Nov") == "It ends on 24 Nov."


def test_a_span_inside_a_sentence_of_the_api_is_translated() -> None:
    """Its words are looked up, its number stays."""
    with using_language(Languages().by_tag["de"]):
        text = localized("A push is expected every 1 day; the last was accepted 3 days ago.")
        assert text == "Erwarteter Abstand der Übertragungen: 1 Tag; seit der letzten angenommenen: 3 Tage."
        assert localized("This must be a date such as 2026-11-24.") == "Hier muss stehen: ein Datum wie 2026-11-24."
