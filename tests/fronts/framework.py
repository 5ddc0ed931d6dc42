"""``crm`` whose API takes the road through Quart: ``python -m fronts.framework serve ...``."""

from __future__ import annotations

from crm_core.cli.main import main
from crm_core.web.front import Front

Front.answers = lambda _front, _request: False  # type: ignore[method-assign]

if __name__ == "__main__":
    main()
