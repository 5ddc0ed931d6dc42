from __future__ import annotations

import pytest

from crm_core.cli.diff import show_changes


def test_a_secret_that_is_sent_again_is_no_change_of_its_mask(capsys: pytest.CaptureFixture[str]) -> None:
    """Both of its values are the same mask, so the line says what happened in place of an arrow between them."""
    mask = {"set": True}
    show_changes([{"pointer": "/smtp/password", "from": mask, "to": mask}, {"pointer": "/a", "from": 1, "to": 2}])
    assert capsys.readouterr().out == '  ~ /smtp/password: {"set": true}, sent again\n  ~ /a: 1 -> 2\n'
