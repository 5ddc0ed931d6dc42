"""A store of any backend next to a plain dict: both must be the same after any sequence of operations."""

from __future__ import annotations

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from crm_core.plugin.storage import (
    Claim,
    Committed,
    Conflict,
    Delete,
    DocumentAt,
    DocumentExists,
    IndexFree,
    PageQuery,
    StorageBackend,
    Unit,
)
from crm_core.testing.storage import entry, put

IDS = st.sampled_from(["a", "b", "c", "d", "e"])
VALUES = st.sampled_from(["x", "y", "z", 1, True, None])


class StoreTwin(RuleBasedStateMachine):
    """``_open`` sets ``store``; the claim ``lost`` of the tenant ``north`` is of no unit that was committed."""

    store: StorageBackend

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.documents: dict[str, tuple[int, object]] = {}
        self.claims: set[str] = set()
        self.seq = 0
        self._open()
        self._run(self.store.create("north"))

    def _run(self, work):  # noqa: ANN001, ANN202 -- any awaitable and its result
        return self.loop.run_until_complete(work)

    def _open(self) -> None:
        raise NotImplementedError

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
