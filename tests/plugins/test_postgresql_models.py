from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from crm_core.plugin.storage import DocumentAt, OutcomeUnknown, StorageContext, Unit
from crm_core.testing.storage import put
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_proxy import Part, Proxy
from postgresql_server import Server
from store_twin import IDS, StoreTwin

EXAMPLES = int(os.environ.get("CRM_TWIN", "3"))
_numbers = count(1)


class Twin(StoreTwin):
    """A store whose connections break equals a plain dict after any sequence of operations."""

    dsn: str

    def __init__(self) -> None:
        self._stack, self._instance = ExitStack(), f"twin{next(_numbers)}"
        self.proxy = self._stack.enter_context(Proxy(self.dsn))
        super().__init__()

    def _open(self) -> None:
        self.store = PostgreSQLBackend()
        context = StorageContext(Path(), {"dsn": self.proxy.dsn, "pool": 2}, instance=self._instance)
        self._run(self.store.open(context))

    @rule(id_=IDS, part=st.sampled_from(["request", "answer"]))
    def lose_commit(self, id_: str, part: Part) -> None:
        """The document, at the revision that was expected, says what became of the unit."""
        revision = self.documents.get(id_, (0, None))[0]
        self.proxy.lose("crm.commit", part)
        unit = Unit(now=1, expect=(DocumentAt("notes", id_, revision),), puts=(put(id_, {}, {"k": "x"}),))
        with pytest.raises(OutcomeUnknown):
            self._run(self.store.commit("north", unit))
        if part == "answer":
            self.documents[id_] = (revision + 1, "x")
            self.seq += 1

    @rule(part=st.sampled_from(["request", "answer"]))
    def lose_read(self, part: Part) -> None:
        self.proxy.lose("crm.read", part)
        assert self._run(self.store.get("north", "notes", "none")).document is None

    @rule(id_=IDS)
    def other_process(self, id_: str) -> None:
        """Of two processes that put the same revision, one does."""

        async def both() -> int:
            other = PostgreSQLBackend()
            await other.open(StorageContext(Path(), {"dsn": self.dsn, "pool": 2}, instance=self._instance))
            revision = self.documents.get(id_, (0, None))[0]
            unit = Unit(
                now=1, expect=(DocumentAt("notes", id_, revision),), puts=(put(id_, {}, {"k": "y"}),),
            )  # fmt: skip
            done = await asyncio.gather(*(store.commit("north", unit) for store in (self.store, other)))
            await other.close()
            return sum(hasattr(outcome, "seq") for outcome in done)

        assert self._run(both()) == 1
        self.documents[id_] = (self.documents.get(id_, (0, None))[0] + 1, "y")
        self.seq += 1

    def teardown(self) -> None:
        super().teardown()
        self._stack.close()


@pytest.fixture(autouse=True)
def _server(postgresql: Server) -> None:
    Twin.dsn = postgresql.migrated


TestTwin = Twin.TestCase
TestTwin.settings = settings(max_examples=EXAMPLES, stateful_step_count=20, deadline=None)
