from __future__ import annotations

import re

from crm_core.metrics import Metrics
from doc_pages import page

PAGE = page("docs/metrics.md")
_ROW = re.compile(r"^\| `(crm_[a-z_]+)` \| ([a-z]+) \| (.*?) ?\|", re.MULTILINE)


def test_the_table_lists_every_metric_with_kind_and_labels() -> None:
    """The page names exactly the metrics that an instance exports, and what their labels are."""
    exported = {}
    for collector in list(Metrics(["branding"]).registry._collector_to_names):
        (family,) = collector.describe() or collector.collect()
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in getattr(collector, "_labelnames", ()))
        exported[name] = (family.type, labels)
    assert {name: (kind, labels) for name, kind, labels in _ROW.findall(PAGE)} == exported


def test_the_advice_speaks_of_metrics_that_there_are() -> None:
    """Every name of a metric on the page is in its table."""
    named = set(re.findall(r"\bcrm_[a-z_]+", PAGE))
    assert named == {name for name, _, _ in _ROW.findall(PAGE)}
