"""Failed sign-ins of an account in the tenant's store, where every process that serves the tenant counts them."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Final

import msgspec

from crm_core.errors import CrmError, StorageUnavailable
from crm_core.plugin.storage import (
    Bound,
    Committed,
    Delete,
    DocumentAt,
    Expectation,
    PageQuery,
    Put,
    StorageBackend,
    Unit,
)
from crm_core.workspace.storing import commit

FAILURES: Final = "sign_in_failures"
_ATTEMPTS: Final = 20
_SWEPT: Final = 3  # drained buckets deleted with each new one, so that old ones do not pile up


class _Bucket(msgspec.Struct, frozen=True):
    """The level of a leaky bucket at a time (Unix seconds)."""

    level: float = 0.0
    at: float = 0.0


class StoredFailures:
    """Leaky buckets of ``capacity`` failures, one of which drains every ``seconds``; times are Unix seconds."""

    def __init__(self, backend: StorageBackend, capacity: int, seconds: float) -> None:
        self._backend, self._capacity, self._seconds = backend, capacity, seconds

    async def add(self, tenant: str, account: str, at: float) -> float:
        """Count a failure; the seconds to wait if there is no room for it. Raises StorageUnavailable, StorageFull."""
        return await self._change(tenant, account, at, 1)

    async def take_back(self, tenant: str, account: str, at: float) -> None:
        """Remove one failure."""
        await self._change(tenant, account, at, -1)

    async def forget(self, tenant: str, account: str, at: float) -> None:
        """Forget an account's failures. If the store does not answer, they drain with time."""
        with suppress(CrmError):
            if (await self._backend.get(tenant, FAILURES, _id(account))).document is not None:
                unit = Unit(now=int(at), deletes=(Delete(FAILURES, _id(account)),))
                await commit(self._backend, tenant, unit)

    async def _change(self, tenant: str, account: str, at: float, more: int) -> float:
        id_ = _id(account)
        for _ in range(_ATTEMPTS):
            document = (await self._backend.get(tenant, FAILURES, id_)).document
            bucket = _Bucket() if document is None else msgspec.json.decode(document.body, type=_Bucket)
            level = max(0.0, bucket.level - max(0.0, at - bucket.at) / self._seconds) + more
            if level > self._capacity:
                return (level - self._capacity) * self._seconds
            drained = int(at + level * self._seconds) + 1
            put = Put(FAILURES, id_, msgspec.json.encode(_Bucket(max(0.0, level), at)), {"drained": drained})
            expect: list[Expectation] = [DocumentAt(FAILURES, id_, 0 if document is None else document.revision)]
            deletes: list[Delete] = []
            if document is None:
                for old in await self._drained(tenant, int(at)):
                    expect.append(old)
                    deletes.append(Delete(FAILURES, old.id))
            unit = Unit(now=int(at), expect=tuple(expect), puts=(put,), deletes=tuple(deletes))
            if isinstance(await commit(self._backend, tenant, unit), Committed):
                return 0.0
        raise StorageUnavailable("Too many people are signing in to this account. Try again.", retry_after=1)

    async def _drained(self, tenant: str, at: int) -> list[DocumentAt]:
        query = PageQuery(collection=FAILURES, sort="drained", bounds=(Bound("drained", "lt", at),), limit=_SWEPT)
        page = await self._backend.page(tenant, query)
        return [DocumentAt(FAILURES, document.id, document.revision) for document in page.documents]


def _id(account: str) -> str:
    """The id of an account's bucket, which does not reveal the address."""
    return hashlib.sha256(account.encode()).hexdigest()[:40]
