from __future__ import annotations

import asyncio
import contextlib
import errno

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.storage import (
    Claim,
    Committed,
    Conflict,
    Delete,
    DocumentAt,
    DocumentExists,
    IndexFree,
    PageQuery,
    Unit,
)
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import entry, put
from tinydb_world import open_store, with_folders

IDS = st.sampled_from(["a", "b", "c", "d", "e"])
VALUES = st.sampled_from(["x", "y", "z", 1, True, None])


class Twin(RuleBasedStateMachine):
    """A store on a forgetful disk equals a plain dict after any sequence of operations and failures."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.disk = with_folders(FakeDisk())
        self.documents: dict[str, tuple[int, object]] = {}
        self.claims: set[str] = set()
        self.seq = 0
        self._open()
        self._run(self.store.create("north"))

    def _run(self, work):  # noqa: ANN001, ANN202 -- any awaitable and its result
        return self.loop.run_until_complete(work)

    def _open(self) -> None:
        self.store = self._run(open_store(self.disk))

    def _commit(self, unit: Unit, *, succeeds: bool) -> bool:
        outcome = self._run(self.store.commit("north", unit))
        assert isinstance(outcome, Committed if succeeds else Conflict)
        self.seq += succeeds
        return succeeds

    @rule(id_=IDS, value=VALUES)
    def put(self, id_: str, value: object) -> None:
        unit = Unit(now=1, puts=(put(id_, {"v": self.seq}, {"k": value}),), entries=(entry(self.seq),))
        self._commit(unit, succeeds=True)
        self.documents[id_] = (self.documents.get(id_, (0, None))[0] + 1, value)

    @rule(id_=IDS, revision=st.integers(0, 3), value=VALUES)
    def expect_revision(self, id_: str, revision: int, value: object) -> None:
        succeeds = self.documents.get(id_, (0, None))[0] == revision
        unit = Unit(now=1, expect=(DocumentAt("notes", id_, revision),), puts=(put(id_, {}, {"k": value}),))
        if self._commit(unit, succeeds=succeeds):
            self.documents[id_] = (revision + 1, value)

    @rule(id_=IDS, value=VALUES)
    def expect_existence(self, id_: str, value: object) -> None:
        unit = Unit(now=1, expect=(DocumentExists("notes", id_),), puts=(put(id_, {}, {"k": value}),))
        if self._commit(unit, succeeds=id_ in self.documents):
            self.documents[id_] = (self.documents[id_][0] + 1, value)

    @rule(id_=IDS, value=VALUES)
    def expect_free(self, id_: str, value: object) -> None:
        owners = [o for o, (_, stored) in self.documents.items() if stored == value and type(stored) is type(value)]
        unit = Unit(now=1, expect=(IndexFree("notes", "k", value, id_),), puts=(put(id_, {}, {"k": value}),))
        if self._commit(unit, succeeds=all(other == id_ for other in owners)):
            self.documents[id_] = (self.documents.get(id_, (0, None))[0] + 1, value)

    @rule(id_=IDS)
    def delete(self, id_: str) -> None:
        self._commit(Unit(now=1, deletes=(Delete("notes", id_),)), succeeds=True)
        self.documents.pop(id_, None)

    @rule(key=st.sampled_from(["p", "q", "r"]))
    def claim(self, key: str) -> None:
        self._commit(Unit(now=1, claims=(Claim("nonce", key, b"{}"),)), succeeds=key not in self.claims)
        self.claims.add(key)

    @precondition(lambda self: self.claims)
    @rule()
    def release(self) -> None:
        key = min(self.claims)
        self._commit(Unit(now=1, releases=(("nonce", key),)), succeeds=True)
        self.claims.discard(key)

    @rule(id_=IDS, call=st.sampled_from(["write", "sync"]), code=st.sampled_from([errno.ENOSPC, errno.EIO]))
    def fail_write(self, id_: str, call: str, code: int) -> None:
        self.disk.fail(call, code)
        with pytest.raises((StorageFull, StorageUnavailable)):
            self._run(
                self.store.commit("north", Unit(now=1, puts=(put(id_),), claims=(Claim("nonce", "lost", b"{}"),)))
            )
        assert self._run(self.store.state("north")).mode == "read_only"

    @rule(call=st.sampled_from(["open", "write", "sync", "replace", "sync_folder"]), code=st.just(errno.ENOSPC))
    def fail_fold(self, call: str, code: int) -> None:
        self.disk.fail(call, code)
        with contextlib.suppress(StorageFull):  # nothing is written if there is nothing to fold
            self._run(self.store.fold("north"))
        self.disk.heal()

    @rule(values=st.lists(st.tuples(IDS, VALUES), min_size=2, max_size=6))
    def put_together(self, values: list[tuple[str, object]]) -> None:
        async def together() -> None:
            units = [Unit(now=1, puts=(put(id_, {}, {"k": value}),)) for id_, value in values]
            await asyncio.gather(*(self.store.commit("north", unit) for unit in units), self.store.fold("north"))

        self._run(together())
        self.seq += len(values)
        for id_, value in values:
            self.documents[id_] = (self.documents.get(id_, (0, None))[0] + 1, value)

    @rule()
    def fold(self) -> None:
        self._run(self.store.fold("north"))

    @rule()
    def reopen(self) -> None:
        self._run(self.store.close())
        self._open()

    @rule(survives=st.sampled_from(["synced", "half", "all"]))
    def crash(self, survives: str) -> None:
        after = self.disk.power_cut(survives)  # type: ignore[arg-type]
        self._run(self.store.close())
        self.disk = after
        self._open()

    @invariant()
    def same(self) -> None:
        page = self._run(self.store.page("north", PageQuery(collection="notes", sort="k")))
        assert {d.id: d.revision for d in page.documents} == {i: stored[0] for i, stored in self.documents.items()}
        for value in ("x", 1, True, None):
            found = self._run(self.store.find("north", "notes", "k", value)).document
            owners = [i for i, (_, stored) in self.documents.items() if stored == value and type(stored) is type(value)]
            assert (found.id if found else None) == min(owners, default=None)
        assert self._run(self.store.claim("north", "nonce", "lost")) is None
        for key in "pqr":
            assert (self._run(self.store.claim("north", "nonce", key)) is not None) == (key in self.claims)
        view = self._run(self.store.view("north", None))
        assert view.seq == self.seq

    def teardown(self) -> None:
        assert self._run(self.store.verify("north")).problems == ()
        self._run(self.store.commit("north", Unit(now=1)))
        assert self._run(self.store.state("north")).mode == "ok"
        self._run(self.store.close())
        self.loop.close()


TestTwin = Twin.TestCase
TestTwin.settings = settings(max_examples=50, stateful_step_count=30)
