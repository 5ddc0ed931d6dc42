"""``crm serve --processes``: one instance served by several processes."""

from __future__ import annotations

from contract.conftest import Boxes


def test_files_belong_to_one_process(boxes: Boxes) -> None:
    """On a backend that processes cannot share, several are wrong usage, with the reason in one sentence."""
    box = boxes(start=False)
    said = box.crm("serve", "--processes", "2", code=2)
    assert "--processes needs a storage backend that processes can share; tinydb belongs to one process." in said
