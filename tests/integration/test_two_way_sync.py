from __future__ import annotations

from pathlib import Path

from soak.run import soak


def test_both_sides_are_equal_after_kills(tmp_path: Path) -> None:
    """After kills of the server in a batch, before an answer and in a fold, and of the program before it saves a page.

    Both sides write all the time. In the end each has every record once, equal, and nothing that was written is lost.
    """
    said: list[str] = []
    assert soak(tmp_path, records=300, writers=3, rounds=2, say=said.append) == []
    assert len(said) == 2
