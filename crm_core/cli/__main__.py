"""``python -m crm_core.cli``: the ``crm`` command."""

from __future__ import annotations

from crm_core.cli.main import main

main()
