"""The instance's metrics for Prometheus. No label contains a tenant, an address or text that a sender can choose."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from crm_core.lean_imports import without
from crm_core.model.log import LogEntry

with without("http.server", "urllib.request", "wsgiref.simple_server"):  # its own servers, and pushes to a gateway
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
    from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def share_metrics(folder: Path, worker: int) -> None:
    """Count in files of ``folder``, so that any process of a server can return the sum. Before the first metric.

    A worker that replaces one with its number continues its counts: they never fall while the server runs.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # the library reads it for each file
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one instance, with their own registry. ``payload_types``: the names allowed as labels.

    ``shared``: the folder of ``share_metrics``, if several processes count.
    """

    def __init__(self, payload_types: Collection[str], shared: Path | None = None) -> None:
        self._known = frozenset(payload_types) | {"health"}
        self.registry, self._shared = CollectorRegistry(), shared
        self._attempts = Counter(
            "crm_sync_attempts_total",
            "Sync attempts by payload type, status and error code.",
            ("payload_type", "status", "error_code"),
            registry=self.registry,
        )
        self._by_attempt: dict[tuple[str, str, str], Counter] = {}  # its children: finding one costs more than it
        self._decisions = Histogram(
            "crm_sync_decision_seconds",
            "Time from the last byte of a push to its decision.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._requests = Counter(
            "crm_http_requests_total", "Requests by method and status.", ("method", "status"), registry=self.registry
        )
        self._by_answer: dict[tuple[str, int], Counter] = {}  # of ``_requests``; finding a child costs more than it
        self._answers = Histogram(
            "crm_http_request_seconds",
            "Time from a request's head to the start of its response.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._slow_calls = Counter(
            "crm_plugin_slow_calls_total",
            "Calls of plugins that took 50 ms of CPU or more.",
            ("plugin", "hook"),
            registry=self.registry,
        )
        self.storage_up = self._gauge("crm_storage_up", "Whether the storage answers: 1, or 0.")
        self.tenants = self._gauge("crm_tenants", "Tenants of this instance.")
        self.tenants_troubled = self._gauge("crm_tenants_troubled", "Tenants whose store takes no writes.")
        self.sections_unreadable = self._gauge(
            "crm_sections_unreadable", "Stored sections that no plugin can read, of tenants in use."
        )
        self.config_errors = self._gauge("crm_config_errors", "Problems in edited config files that are not in effect.")
        self.event_streams = Gauge(
            "crm_event_streams", "Open event streams.", registry=self.registry, multiprocess_mode="sum"
        )
        self.event_streams.set(0)  # a worker that was killed counts no more

    def _gauge(self, name: str, text: str) -> Gauge:
        """A gauge that is set when metrics are read, by the process that returns them."""
        return Gauge(name, text, registry=self.registry, multiprocess_mode="mostrecent")

    def attempt(self, entry: LogEntry, seconds: float | None) -> None:
        """Count a sync attempt. ``seconds``: from its last byte to the decision; None for a restore."""
        kind = entry.payload_type if entry.payload_type in self._known else "unknown"
        labels = kind, entry.status, entry.error_code or ""
        counter = self._by_attempt.get(labels)
        if counter is None:
            counter = self._by_attempt[labels] = self._attempts.labels(*labels)
        counter.inc()
        if seconds is not None:
            self._decisions.observe(seconds)

    def slow_call(self, plugin: str, hook: str) -> None:
        """Count a call of a plugin that took long."""
        self._slow_calls.labels(plugin, hook).inc()

    def request(self, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        counter = self._by_answer.get((method, status))
        if counter is None:
            known = method if method in _METHODS else "other"
            counter = self._requests.labels(known, str(status))
            if known == method:
                self._by_answer[method, status] = counter
        counter.inc()
        self._answers.observe(seconds)

    def text(self) -> bytes:
        """Everything in Prometheus's text format."""
        if self._shared is None:
            return generate_latest(self.registry)
        sums = CollectorRegistry()
        MultiProcessCollector(sums, str(self._shared))  # type: ignore[no-untyped-call]
        return generate_latest(sums)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
