"""Compare docs/cli.md with the commands; run as a program this file writes usage, help and options into it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from crm_core.cli.main import crm
from doc_pages import ROOT, headings, page, run_page
from free_ports import free_port

NAME = "docs/cli.md"
_PART = re.compile(r"<!-- (crm [a-z -]+) -->\n(.*?)<!-- end -->\n", re.DOTALL)
_EVERYWHERE = {"config"}  # written once, at the top of the page


def commands(command: click.Command = crm, path: str = "crm") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something by itself, by its words."""
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, f"{path} {name}")


def reference(path: str, command: click.Command) -> str:
    """The page's text on a command, between its marks."""
    usage = " ".join([path, *command.collect_usage_pieces(click.Context(command))])
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(command.help or ""))
    rows = [
        f"| `{', '.join(option.opts)}`{_value(option)} | {_listed(option)} |"
        for option in command.params
        if isinstance(option, click.Option) and option.name not in _EVERYWHERE
    ]
    table = ["| option | |", "| --- | --- |", *rows, ""] if rows else []
    return "\n".join(["", "```text", usage, "```", "", *text.splitlines(), "", *table, ""])


def _value(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return " " + " or ".join(f"`{choice}`" for choice in option.type.choices)
    return f" {option.metavar or option.type.name.partition(' ')[0].upper()}"


def _listed(option: click.Option) -> str:
    text = [(option.help or "").replace("|", "\\|")]
    if option.required:
        text.append("Required.")
    if option.show_default and option.default is not None:
        text.append(f"Default: `{option.default}`.")
    return " ".join(text)


def written() -> str:
    """The page with every part made again."""
    known = dict(commands())
    return _PART.sub(lambda part: f"<!-- {part[1]} -->\n{reference(part[1], known[part[1]])}<!-- end -->\n", page(NAME))


def test_every_command_has_its_part() -> None:
    """Each command has a heading and a part on the page, and there is none that is no command."""
    known = [path for path, _ in commands()]
    assert sorted(name for name, _ in _PART.findall(page(NAME))) == sorted(known)
    assert sorted(heading for heading in headings(page(NAME)) if heading.startswith("crm ")) == sorted(known)


@pytest.mark.parametrize(("path", "command"), list(commands()))
def test_the_part_of_a_command_is_what_the_command_says(path: str, command: click.Command) -> None:
    """Usage, help and options are there as they are; this file, run as a program, brings them up to date."""
    assert dict(_PART.findall(page(NAME)))[path] == reference(path, command), f"run {Path(__file__).name} as a program"


@pytest.mark.parametrize(("path", "command"), list(commands()))
def test_every_command_and_option_has_a_help_text(path: str, command: click.Command) -> None:
    """A reader of --help is never left with a bare name."""
    assert command.help
    assert [option.name for option in command.params if isinstance(option, click.Option) and not option.help] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_examples_run_in_the_order_of_the_page(tmp_path: Path) -> None:
    """Every example of the page works, one after the other, half of them next to a running server."""
    text = run_page(NAME, tmp_path, free_port())
    assert "applied branding version 1 as revision 1" in text
    assert "restored revision 1 of branding" in text
    assert "No check fails." in text
    assert (tmp_path / "crm.conf").read_text()


if __name__ == "__main__":
    (ROOT / NAME).write_text(written(), encoding="utf-8")
