"""A browser's request and the response to it, as pages read and make them: by werkzeug's values, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextvars import ContextVar
from io import BytesIO
from typing import Final, cast

from werkzeug.datastructures import FileStorage, Headers, ImmutableMultiDict, MultiDict
from werkzeug.formparser import FormDataParser
from werkzeug.local import LocalProxy
from werkzeug.sansio.request import Request as RequestHead
from werkzeug.sansio.response import Response as ResponseHead

from crm_core.web.answers import CSV, Answer
from crm_core.web.request import Request

MOST_FORM: Final = 512 * 1024  # a record of 256 KiB as a form is larger than as JSON
_MOST_PARTS: Final = 1000  # of a form with files
_LONG: Final = 64 * 1024  # bytes of a form from which a thread reads it

Form = MultiDict[str, str]
"""The fields of a sent form, or the parameters of an address."""
Files = MultiDict[str, FileStorage]


class BrowserRequest(RequestHead):
    """A request of a browser: what werkzeug reads of its head, and its form. ``most``: bytes that the form may have."""

    def __init__(self, sent: Request) -> None:
        fields = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent.headers])
        super().__init__(sent.method, sent.scheme, None, "", sent.path, sent.query_string, fields, sent.source)
        self.sent = sent
        self.most = MOST_FORM
        self._read: tuple[Form, Files] | None = None

    @property
    async def form(self) -> Form:
        """The fields of the form. Raises PayloadTooLarge."""
        return (await self._parts())[0]

    @property
    async def files(self) -> Files:
        """The files of the form. Raises PayloadTooLarge."""
        return (await self._parts())[1]

    async def _parts(self) -> tuple[Form, Files]:
        if self._read is None:
            body = await self.sent.read_body(self.most)
            self._read = await asyncio.to_thread(self._parsed, body) if len(body) > _LONG else self._parsed(body)
        return self._read

    def _parsed(self, body: bytes) -> tuple[Form, Files]:
        parser = FormDataParser(max_form_memory_size=self.most, max_form_parts=_MOST_PARTS, cls=ImmutableMultiDict)
        _, form, files = parser.parse(BytesIO(body), self.mimetype, len(body), self.mimetype_params)
        return form, files


# Not state of the module: each request has its own context.
_CURRENT: Final[ContextVar[BrowserRequest]] = ContextVar("request")
request = cast("BrowserRequest", LocalProxy(_CURRENT))
"""The request that is being answered; ``sent`` is it as it came."""


def begin(sent: Request) -> None:
    """Make a request the one that is being answered, until the end of this task."""
    _CURRENT.set(BrowserRequest(sent))


class Response(ResponseHead):
    """The response to a browser: a text, bytes, or parts that are sent one after the other."""

    default_mimetype = "text/html"

    def __init__(
        self,
        body: str | bytes | AsyncIterator[bytes] = b"",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> None:
        super().__init__(status, headers, None, content_type)
        self._body = body.encode() if isinstance(body, str) else body

    @property
    def answer(self) -> Answer:
        """The same as it is sent."""
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers]
        if isinstance(self._body, bytes):
            return Answer(self.status_code, [*fields, (b"content-length", b"%d" % len(self._body))], self._body)
        parts = cast("AsyncGenerator[bytes, None]", self._body)  # each of our streams is a generator
        return Answer(self.status_code, fields, parts)


def csv_file(content: bytes, name: str) -> Response:
    """A file to download, whose name gets the ending ``.csv``."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}
    return Response(content, 200, headers, CSV)


Result = Response | Answer
"""The result of the handler of a page."""
