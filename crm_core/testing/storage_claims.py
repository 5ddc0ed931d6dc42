"""Suite cases about claims."""

from __future__ import annotations

import asyncio

from crm_core.plugin.storage import Claim, Committed, Conflict, DocumentAt, Unit
from crm_core.testing.storage_harness import NOW, StorageHarness, put


class ClaimCases:
    """What can be had once."""

    async def test_claim_once(self, storage: StorageHarness) -> None:
        """The second claim is a conflict that brings the first one's evidence."""
        await storage.commit(Unit(now=NOW, claims=(Claim("nonce", "a", b'{"by":1}'),)))
        again = Claim("nonce", "a", b'{"by":2}')
        outcome = await storage.store.commit("north", Unit(now=NOW, claims=(again,), puts=(put("a"),)))
        assert outcome == Conflict("claim", claim=again, evidence=b'{"by":1}')
        assert await storage.store.claim("north", "nonce", "a") == b'{"by":1}'
        assert await storage.store.claim("north", "other", "a") is None
        assert await storage.store.claim("south", "nonce", "a") is None
        assert await storage.store.count("north", "notes") == 0

    async def test_one_claimant_of_many(self, storage: StorageHarness) -> None:
        """Of claims sent at once exactly one goes through, and the others see its evidence."""
        outcomes = await asyncio.gather(
            *(
                storage.store.commit("north", Unit(now=NOW, claims=(Claim("nonce", "a", b'{"by":%d}' % number),)))
                for number in range(20)
            )
        )
        assert sum(isinstance(outcome, Committed) for outcome in outcomes) == 1
        held = await storage.store.claim("north", "nonce", "a")
        assert all(outcome.evidence == held for outcome in outcomes if isinstance(outcome, Conflict))

    async def test_claims_before_expectations(self, storage: StorageHarness) -> None:
        """Where a claim and an expectation both fail the claim is named."""
        await storage.commit(Unit(now=NOW, claims=(Claim("nonce", "a", b"{}"),)))
        unit = Unit(now=NOW, claims=(Claim("nonce", "a", b"{}"),), expect=(DocumentAt("notes", "a", 5),))
        outcome = await storage.store.commit("north", unit)
        assert isinstance(outcome, Conflict)
        assert outcome.what == "claim"

    async def test_refused_unit_claims_nothing(self, storage: StorageHarness) -> None:
        """A unit in conflict takes none of its claims."""
        unit = Unit(now=NOW, claims=(Claim("nonce", "a", b"{}"),), expect=(DocumentAt("notes", "a", 5),))
        assert isinstance(await storage.store.commit("north", unit), Conflict)
        assert await storage.store.claim("north", "nonce", "a") is None

    async def test_release(self, storage: StorageHarness) -> None:
        """A claim given back can be taken again."""
        await storage.commit(Unit(now=NOW, claims=(Claim("key", "a", b"1"),)))
        await storage.commit(Unit(now=NOW, releases=(("key", "a"), ("key", "nobody"))))
        assert await storage.store.claim("north", "key", "a") is None
        await storage.commit(Unit(now=NOW, claims=(Claim("key", "a", b"2"),)))

    async def test_held_until_it_expires(self, storage: StorageHarness) -> None:
        """A claim is held through the second it expires in, by the units' own time, and can be had after it."""
        await storage.commit(Unit(now=NOW, claims=(Claim("key", "a", b"1", NOW + 10),)))
        at_the_end = Unit(now=NOW + 10, claims=(Claim("key", "a", b"2", NOW + 20),))
        assert isinstance(await storage.store.commit("north", at_the_end), Conflict)
        await storage.commit(Unit(now=NOW + 11, claims=(Claim("key", "a", b"3", NOW + 20),)))
        assert await storage.store.claim("north", "key", "a") == b"3"

    async def test_without_expiry_for_good(self, storage: StorageHarness) -> None:
        """A claim without expiry is never forgotten."""
        await storage.commit(Unit(now=NOW, claims=(Claim("hash", "a", b"1"),)))
        await storage.put(put("a"), now=NOW * 2)
        assert isinstance(
            await storage.store.commit("north", Unit(now=NOW * 2, claims=(Claim("hash", "a", b"2"),))), Conflict
        )

    async def test_forgotten_stamp(self, storage: StorageHarness) -> None:
        """A claim that was forgotten cannot be had again by its stamp, even when the clock steps back or restarts."""
        old = Claim("nonce", "a", b"1", NOW + 10, NOW)
        await storage.commit(Unit(now=NOW, claims=(old,)))
        await storage.put(put("a"), now=NOW + 11)
        for again in (False, True):
            store = await storage.reopen() if again else storage.store
            outcome = await store.commit("north", Unit(now=NOW, claims=(old,)))
            assert isinstance(outcome, Conflict)
            assert outcome.what in {"claim", "forgotten"}
        late = Unit(now=NOW + 12, claims=(Claim("nonce", "a", b"1", NOW + 99, NOW),))
        outcome = await storage.store.commit("north", late)
        assert isinstance(outcome, Conflict)
        assert outcome.what == "forgotten"
        await storage.commit(Unit(now=NOW + 12, claims=(Claim("nonce", "b", b"1", NOW + 99, NOW + 1),)))
        await storage.commit(Unit(now=NOW + 12, claims=(Claim("other", "a", b"1", NOW + 99, NOW),)))

    async def test_claims_outlive_fold_and_restart(self, storage: StorageHarness) -> None:
        """Claims and forgotten stamps are there after a fold and a restart."""
        await storage.commit(Unit(now=NOW, claims=(Claim("nonce", "a", b"1", NOW + 10, NOW), Claim("hash", "h", b"2"))))
        await storage.put(put("a"), now=NOW + 11)
        await storage.store.fold("north")
        store = await storage.reopen()
        assert await store.claim("north", "hash", "h") == b"2"
        outcome = await store.commit("north", Unit(now=NOW + 12, claims=(Claim("nonce", "a", b"1", None, NOW),)))
        assert isinstance(outcome, Conflict)
        assert outcome.what == "forgotten"
