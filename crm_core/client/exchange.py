"""Requests and the meaning of their answers, without a network: generators that a transport drives.

A generator yields a ``ReadyRequest`` to send, and receives the ``Answer`` or ``Lost``; or it yields a ``Pause`` to
wait for. Its return value is the outcome. A push is repeated with the same bytes, and as long as its timestamp counts
with the same nonce, so it is applied once regardless of how often it arrives.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from crm_core.client.answers import Answer, Health, NotAReceiver, Outcome, Refused, Unanswered
from crm_core.client.signing import Signer, Unsigned, health_of, push_to
from crm_core.client.target import Target

T = TypeVar("T")
Strategy = Literal["replace", "merge"]
_PROBLEM = "application/problem+json"
_ALREADY = ("replayed_nonce", "duplicate_payload")
_ACCEPTED = ("applied", "unchanged")
_SECONDS = re.compile(r"[0-9]{1,9}")


class ReadyRequest(msgspec.Struct, frozen=True):
    """A signed request, ready to be sent as it is."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Lost(msgspec.Struct, frozen=True):
    """No answer came; ``why`` is the reason as a text. ``final``: trying again cannot help."""

    why: str
    final: bool = False


class Pause(msgspec.Struct, frozen=True):
    """A wait before the next try, in seconds; ``why`` says what went wrong."""

    seconds: float
    why: str


Steps = Generator[ReadyRequest | Pause, Answer | Lost | None, T]


class Retries(msgspec.Struct, frozen=True):
    """How often a request is sent, and the pauses in between: doubling, at least what Retry-After says."""

    attempts: int = 5
    first_pause: float = 0.5
    longest_pause: float = 60.0

    def pauses(self) -> Iterator[float]:
        """The wait before each further attempt."""
        for attempt in range(self.attempts - 1):
            yield min(self.first_pause * 2.0**attempt, self.longest_pause)


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """A platform's side of the contract. ``clock``: Unix seconds; ``nonce``: a fresh one at each call."""

    target: Target
    signer: Signer
    clock: Callable[[], float]
    nonce: Callable[[], str]
    retries: Retries = Retries()

    def push(
        self,
        payload_type: str,
        data: Mapping[str, Any],
        *,
        version: int | None,
        strategy: Strategy = "replace",
        preview: bool = False,
    ) -> Steps[Outcome]:
        """Push, or preview, until there is a final answer. ``version`` None: the lowest that health allows."""
        if version is None:
            version = (yield from self.versions()).min_version(payload_type, data)
        body = envelope(self.target, payload_type, data, version=version, strategy=strategy, preview=preview)
        unsigned = push_to(self.target, payload_type, body)
        return _outcome((yield from self._exchange(unsigned, only_reads=preview)))

    def health(self) -> Steps[Health]:
        """The tenant's health, by signature."""
        answer = yield from self._exchange(health_of(self.target), only_reads=True)
        document = _document(answer)
        if answer.status != 200:
            raise Refused(answer.status, document)
        return _read(document, Health)

    def versions(self) -> Steps[Health]:
        """Health that knows the versions: without them a push would start at 1 again, and be refused.

        Waits, as for a 503, while the receiver cannot read the tenant's store. Raises Unanswered.
        """
        pauses = self.retries.pauses()
        while (health := (yield from self.health())).store_unreadable:
            why = " ".join(health.reasons) or "the receiver cannot read the tenant's store"
            pause = next(pauses, None)
            if pause is None:
                raise Unanswered(f"{self.target.origin}{health_of(self.target).path}: {why}")
            yield Pause(pause, why)
        return health

    def signed(self, request: Unsigned) -> ReadyRequest:
        """The request with a fresh timestamp and nonce, signed."""
        headers = {**dict(request.headers), **self.signer(request, int(self.clock()), self.nonce())}
        return ReadyRequest(request.method, self.target.origin + request.path, headers, request.body)

    def _exchange(self, unsigned: Unsigned, *, only_reads: bool) -> Steps[Answer]:
        """Send the same bytes until there is a final answer, signed again once a repeat is too old. Raises Unanswered.

        A push that was accepted before is recognized by its bytes. A request that only reads is signed again each time:
        the caller needs its answer, which a repeat with a used nonce would not get.
        """
        pauses = self.retries.pauses()
        request, is_repeat = self.signed(unsigned), False
        while True:
            answer = yield request
            assert answer is not None
            if isinstance(answer, Answer) and answer.status != 429 and answer.status < 500:
                if not (is_repeat and _is_too_old(answer)):
                    return answer
                request, is_repeat = self.signed(unsigned), False
                continue
            is_repeat = True
            why = answer.why if isinstance(answer, Lost) else _why(answer)
            pause = next(pauses, None)
            if isinstance(answer, Answer) and pause is not None:
                pause = max(pause, _retry_after(answer))
            if pause is None or pause > self.retries.longest_pause or (isinstance(answer, Lost) and answer.final):
                raise Unanswered(f"{request.url}: {why}")
            yield Pause(pause, why)
            if only_reads:
                request = self.signed(unsigned)


def envelope(
    target: Target, payload_type: str, data: Mapping[str, Any], *, version: int, strategy: Strategy, preview: bool
) -> bytes:
    """The body of a push. The same arguments give the same bytes, so a repeat is recognized.

    Raises:
        ValueError: the data contains something that JSON cannot express (NaN, half a surrogate pair).
    """
    members: dict[str, Any] = {
        "tenant": target.tenant,
        "instance": target.instance,
        "type": payload_type,
        "version": version,
        "data": data,
    }
    if preview:
        members["mode"] = "preview"
    if strategy != "replace":
        members["strategy"] = strategy
    return json.dumps(members, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _outcome(answer: Answer) -> Outcome:
    """The outcome of a push. The refused repeat of a push that was accepted is a success. Raises Refused."""
    document = _document(answer)
    if answer.status == 200:
        return _read(_original(document) | document, Outcome)
    if not _was_accepted(answer):
        raise Refused(answer.status, document)
    return _read(document | _original(document) | {"status": "already_applied"}, Outcome)


def _is_too_old(answer: Answer) -> bool:
    """Whether this refuses a request for its timestamp."""
    return answer.status == 401 and _document(answer).get("code") == "timestamp_out_of_window"


def _was_accepted(answer: Answer) -> bool:
    """Whether this refuses a repeat of a push that was accepted."""
    if answer.status != 409:
        return False
    document = _document(answer)
    return document.get("code") in _ALREADY and _original(document).get("status") in _ACCEPTED


def _original(document: Mapping[str, Any]) -> dict[str, Any]:
    """The first request, as the answer to a repeat shows it."""
    original = document.get("original")
    return original if isinstance(original, dict) else {}


def _document(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer. Raises NotAReceiver."""
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if answer.status == 200 or media_type == _PROBLEM:
        try:
            document = msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            document = None
        if isinstance(document, dict):
            return document
    where = answer.headers.get("location")
    leads = f", which leads to {where}" if where else ""
    raise NotAReceiver(
        f"This address is not a receiver: it answered with status {answer.status}, {media_type or 'no type'}{leads}. "
        "Check the URL."
    )


def _read(document: dict[str, Any], type_: type[T]) -> T:
    try:
        return msgspec.convert(document | {"document": document}, type_)
    except msgspec.ValidationError as error:
        raise NotAReceiver(f"This address is not a receiver: {error}. Check the URL.") from None


def _why(answer: Answer) -> str:
    try:
        document = _document(answer)
    except NotAReceiver:
        return f"status {answer.status}"
    return f"{answer.status} {document.get('code')}: {document.get('detail')}"


def _retry_after(answer: Answer) -> float:
    """Seconds; 0 if the header is absent or a date (RFC 9110, 10.2.3; receivers send seconds)."""
    text = answer.headers.get("retry-after", "")
    return float(text) if _SECONDS.fullmatch(text) else 0.0
