from __future__ import annotations

import pytest

from crm_core.cli.running import Boundary
from crm_core.errors import CrmError, Finding, InvalidRecord, SetupError, StorageFull, UnknownTenant


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SetupError(["keys.yaml:1:1: wrong", "keys.yaml:2:1: wrong"]), "keys.yaml:1:1: wrong\nkeys.yaml:2:1: wrong\n"),
        (UnknownTenant(), "There is no such tenant here; crm tenant list shows those there are. (unknown_tenant)\n"),
        (StorageFull("The disk is full."), "The disk is full. (storage_full)\n"),
        (
            InvalidRecord("It does not fit.", errors=[Finding("/email", "invalid_value", "No address.")]),
            "It does not fit. (invalid_record)\n  /email: No address.\n",
        ),
    ],
)
def test_an_error_of_ours_ends_a_command_with_its_words(
    error: CrmError | SetupError, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told on standard error, every problem on a line of its own, with exit code 1 and no trace."""
    with pytest.raises(SystemExit) as ended, Boundary():
        raise error
    assert ended.value.code == 1
    assert capsys.readouterr().err == told


def test_an_error_that_is_not_ours_is_not_hidden() -> None:
    """A fault of the program itself shows as one."""
    with pytest.raises(ZeroDivisionError), Boundary():
        1 / 0  # noqa: B018 -- the fault
