"""The instance's metrics for Prometheus. No label contains a tenant, an address or text that a sender can choose."""

from __future__ import annotations

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from crm_core.model.log import LogEntry

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The metrics of one instance, with their own registry. ``payload_types``: the names allowed as labels."""

    def __init__(self, payload_types: Collection[str]) -> None:
        self._known = frozenset(payload_types) | {"health"}
        self.registry = CollectorRegistry()
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
        self.tenants = Gauge("crm_tenants", "Tenants of this instance.", registry=self.registry)
        self.tenants_troubled = Gauge(
            "crm_tenants_troubled", "Tenants whose store takes no writes.", registry=self.registry
        )
        self._slow_calls = Counter(
            "crm_plugin_slow_calls_total",
            "Calls of plugins that took 50 ms of CPU or more.",
            ("plugin", "hook"),
            registry=self.registry,
        )
        self.sections_unreadable = Gauge(
            "crm_sections_unreadable",
            "Stored sections that no plugin can read, of tenants in use.",
            registry=self.registry,
        )
        self.config_errors = Gauge(
            "crm_config_errors", "Problems in edited config files that are not in effect.", registry=self.registry
        )
        self.event_streams = Gauge("crm_event_streams", "Open event streams.", registry=self.registry)

    def attempt(self, entry: LogEntry) -> None:
        """Count a sync attempt."""
        kind = entry.payload_type if entry.payload_type in self._known else "unknown"
        labels = kind, entry.status, entry.error_code or ""
        counter = self._by_attempt.get(labels)
        if counter is None:
            counter = self._by_attempt[labels] = self._attempts.labels(*labels)
        counter.inc()
        if entry.duration_ms is not None:
            self._decisions.observe(entry.duration_ms / 1000)

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
        return generate_latest(self.registry)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
