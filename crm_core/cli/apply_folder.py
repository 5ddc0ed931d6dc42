"""The folder of ``crm apply``: ``TENANT/SECTION.yaml``, or ``TENANT.yaml`` with sections as members.

A secret is a reference, ``{secret: env:NAME}`` or ``{secret: file:PATH}``, and only a member that its payload type
marks secret may be one. So the folder contains no secrets, and an edit of it cannot publish secrets of the machine
that applies it. Names that start with a dot and files of other kinds, such as README.md, are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from crm_core.cli.payload_file import read_data
from crm_core.errors import SetupError
from crm_core.model.diff import pointer_to
from crm_core.model.names import is_name, is_section_name
from crm_core.model.secret_members import SecretMember, value_at, with_value, without_secrets
from crm_core.settings.secrets import Secrets

Sections = Mapping[str, Mapping[str, Any]]
Members = Callable[[str], Collection[SecretMember]]
"""The secret members of a section's payload type; none if it is not installed."""
_YAML: Final = ".yaml"
_UNREAD: Final = "unreadable"
"""The text in place of a secret that cannot be read; it is never sent."""
_REFERENCE: Final = "write {secret: env:NAME} or {secret: file:PATH}"


class DesiredFolder(msgspec.Struct, frozen=True):
    """The sections of each tenant. ``failed``: by tenant, why its files cannot be used.

    ``unreadable``: by tenant and section, why a secret cannot be read on this machine.
    """

    tenants: Mapping[str, Sections]
    failed: Mapping[str, str]
    unreadable: Mapping[str, Mapping[str, str]]


def read_folder(folder: Path, only: Collection[str], members: Members, secrets: Secrets) -> DesiredFolder:
    """Read the tenants of a folder, or ``only`` these.

    Raises:
        click.UsageError: the folder is not of this form, it lacks one of ``only``, or a secret is in the clear or in a
            member that is not secret. Nothing must be sent then.
    """
    paths = _tenants(folder)
    unknown = [name for name in only if name not in paths]
    if unknown:
        raise click.UsageError(f"{folder} has no tenant {', '.join(unknown)}; check the name, or add its files")
    tenants: dict[str, Sections] = {}
    failed: dict[str, str] = {}
    unreadable: dict[str, dict[str, str]] = {}
    misplaced: list[str] = []
    for tenant in sorted(only or paths):
        try:
            sections = dict(_sections(paths[tenant]))
        except (SetupError, click.UsageError) as error:
            failed[tenant] = str(error)
            continue
        wrong = [reason for name, data in sections.items() for reason in _misplaced(name, data, members(name))]
        misplaced += [f"{paths[tenant]}: {reason}" for reason in wrong]
        if not wrong:
            reasons = unreadable[tenant] = {}
            tenants[tenant] = {n: _resolved(n, data, members(n), secrets, reasons) for n, data in sections.items()}
    if misplaced:
        raise click.UsageError("\n".join(misplaced))
    return DesiredFolder(tenants, failed, unreadable)


def _tenants(folder: Path) -> dict[str, Path]:
    """The tenants' folders and files. Raises click.UsageError with everything that is wrong."""
    paths: dict[str, Path] = {}
    wrong = []
    for path in _visible(folder):
        if not path.is_dir() and path.suffix != _YAML:
            continue
        name = path.name if path.is_dir() else path.stem
        if not is_name(name):
            wrong.append(f"{path}: {name!r} is not a tenant's name; use a-z, 0-9 and -")
        if name in paths:
            wrong.append(f"{path}: {name} has a folder and a file; put its sections into one of them")
        paths[name] = path
    if not paths and not wrong:
        wrong.append(f"{folder} has no tenant; add TENANT/SECTION.yaml or TENANT.yaml")
    if wrong:
        raise click.UsageError("\n".join(wrong))
    return paths


def _visible(folder: Path) -> list[Path]:
    """The entries of a folder without hidden ones. Raises click.UsageError."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise click.UsageError(f"{folder} cannot be read ({error.strerror}); check the path") from None
    other = [str(path) for path in paths if path.suffix in (".yml", ".json")]
    if other:
        raise click.UsageError(f"{', '.join(other)}: name the files .yaml")
    return paths


def _sections(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The sections of a tenant; one that is null counts as absent. Raises SetupError, click.UsageError."""
    if not path.is_dir():
        for name, data in read_data(_file(path)).items():
            if data is not None and not isinstance(data, dict):
                raise SetupError([f"{path.name}: {name} must be an object with members"])
            if data is not None:
                yield name, data
        return
    files = [file for file in _visible(path) if file.suffix == _YAML]
    if not files:
        raise SetupError([f"{path} has no SECTION.yaml; add one, or remove the folder"])
    for file in files:
        if not is_section_name(file.stem):
            raise SetupError([f"{file}: {file.stem!r} is not a section's name; use a-z, 0-9, _ and -"])
        yield file.stem, read_data(_file(file))


def _file(path: Path) -> str:
    """The path for ``read_data``. Raises SetupError for a pipe or device, which could block."""
    if path.exists() and not path.is_file():
        raise SetupError([f"{path} is not a file; replace it with one"])
    return str(path)


def _misplaced(section: str, data: Mapping[str, Any], members: Collection[SecretMember]) -> Iterator[str]:
    """Secrets in the clear, and references outside of secret members."""
    for member in members:
        value = value_at(data, member.path)
        if value is not None and _reference(value) is None:
            yield f"{pointer_to(section, *member.path)} is secret; {_REFERENCE}"
    for pointer in _references(without_secrets(data, members), pointer_to(section)):
        yield f"{pointer} is not a secret member of an installed payload type; no secret may be sent there"


def _references(value: Any, pointer: str) -> Iterator[str]:
    """The pointers of all references in a value."""
    if _reference(value) is not None:
        yield pointer
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _references(item, pointer + pointer_to(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(item, pointer + pointer_to(index))


def _reference(value: Any) -> str | None:
    """The text of a reference such as ``{secret: env:NAME}``; None for any other value."""
    text = value.get("secret") if isinstance(value, dict) and len(value) == 1 else None
    return text if isinstance(text, str) and text.startswith(("env:", "file:")) else None


def _resolved(
    section: str, data: dict[str, Any], members: Collection[SecretMember], secrets: Secrets, reasons: dict[str, str]
) -> dict[str, Any]:
    """The data with secrets in place of references; failures are added to ``reasons``."""
    for member in members:
        reference = _reference(value_at(data, member.path))
        if reference is None:
            continue
        try:
            secret = secrets.text(reference)
        except ValueError as error:
            reasons[section], secret = f"{pointer_to(section, *member.path)}: {error}", _UNREAD
        data = with_value(data, member.path, secret)
    return data
