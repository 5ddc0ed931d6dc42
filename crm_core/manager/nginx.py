"""The manager's routing as a configuration for nginx."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import jinja2
import msgspec

from crm_core.errors import (
    CrmError,
    HeadTooLarge,
    InstanceTimeout,
    InstanceUnavailable,
    MalformedRequest,
    MethodNotAllowed,
    MisdirectedInstance,
    NotFound,
)
from crm_core.manager.limits import MAX_IN_FLIGHT, RETRY_SECONDS, Timeouts
from crm_core.manager.responses import NOTHING_HERE, UNKNOWN_INSTANCE
from crm_core.settings.instances import InstancesSettings, UpstreamAddress

_TEMPLATE: Final = Path(__file__).parent / "templates" / "nginx.conf"
_ERRORS: Final[tuple[tuple[str, CrmError], ...]] = (
    ("400 501 505", MalformedRequest("This is not well-formed HTTP.")),
    ("404", NotFound(NOTHING_HERE)),
    ("405", MethodNotAllowed()),
    ("414 431 494", HeadTooLarge("The request head is too large.")),
    ("421", MisdirectedInstance(UNKNOWN_INSTANCE)),
    ("502 503", InstanceUnavailable("The instance cannot be reached.", retry_after=RETRY_SECONDS)),
    ("504", InstanceTimeout("The instance did not answer in time.")),
)


def rendered(settings: InstancesSettings) -> str:
    """Return an ``upstream`` for each instance and one ``server``, for nginx's http context."""
    template = jinja2.Template(
        _TEMPLATE.read_text(encoding="utf-8"),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    explaining = next(iter(settings.instances), None)
    pages = [(status, _page(error, explaining)) for status, error in _ERRORS]
    text: str = template.render(
        listen=settings.listen,
        instances=[(code, [*map(_server, upstreams)]) for code, upstreams in settings.instances.items()],
        most=MAX_IN_FLIGHT,
        timeouts=Timeouts(),
        proxies=settings.trusted_proxies,
        errors=pages,
        pages=[page for _, page in pages],
    )
    return text


def _server(upstream: UpstreamAddress) -> dict[str, object]:
    return {"address": str(upstream).removeprefix("http://"), "drained": upstream.drained}


def _page(error: CrmError, instance: str | None) -> dict[str, object]:
    """Return the response of an internal location, explained by an instance; nginx fills in the request id."""
    body = msgspec.json.encode(error.problem("$request_id", instance)).decode()
    return {"code": error.code, "status": error.status, "retry_after": error.retry_after, "body": body}
