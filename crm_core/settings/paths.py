"""Paths in the files, relative to the folder of their file."""

from __future__ import annotations

import os
from pathlib import Path

from crm_core.settings.document import Node
from crm_core.settings.places import Wrong
from crm_core.settings.reading import text


def absolute(node: Node, folder: Path, written: str) -> Path:
    """The absolute form of a path; a ``~`` at its start is a home folder. Raises Wrong."""
    try:
        path = folder / Path(written).expanduser()
    except RuntimeError:
        raise Wrong.at(node.place, "there is no such home folder; write the path without `~`") from None
    # Not resolved: if a symlink to the folder is swapped, the path follows it.
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def existing_folder(node: Node, folder: Path) -> Path:
    """A folder that is there. Raises Wrong."""
    path = absolute(node, folder, text(node))
    if not os.path.isdir(path):  # noqa: PTH112 - is_dir() raises where this user may not look
        raise Wrong.at(node.place, f"there is no folder {path}; make it, or remove it from the list")
    return path
