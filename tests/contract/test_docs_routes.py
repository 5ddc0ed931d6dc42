from __future__ import annotations

import re

from contract.box import Box, good
from doc_pages import pages

COMPARISONS = (".gt", ".gte", ".lt", ".lte")
"""Behind every sortable member; docs/records.md describes them together."""
PARTS_OF_PAGES = {"/docs.css"}
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in pages())


def test_every_route_and_parameter_of_the_api_is_in_the_docs(box: Box) -> None:
    """What OpenAPI lists a reader finds on a page, too; records by the example of customers."""
    missing = []
    for path, methods in good(box.client.get("/openapi.json"))["paths"].items():
        below = path.removeprefix("/i/{instance}/t/{tenant}/api/v1")
        documented = re.sub(r"^/(activities|deals|tasks)\b", "/customers", below).partition("/{")[0]
        if below not in PARTS_OF_PAGES and documented not in TEXT and f"`{documented.removeprefix('/')}`" not in TEXT:
            missing.append(path)
        for operation in methods.values():
            named = [one["name"] for one in operation.get("parameters", ()) if one["in"] in ("query", "header")]
            named = [name for name in named if not name.endswith(COMPARISONS)]
            missing += [
                (path, name) for name in named if not re.search(rf"[`?&]{re.escape(name)}[`=:]", TEXT, re.IGNORECASE)
            ]
    assert missing == []
