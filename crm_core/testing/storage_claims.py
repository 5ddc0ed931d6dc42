"""Suite cases about claims."""

from __future__ import annotations

import asyncio

from crm_core.plugin.storage import Claim, Committed, Conflict, DocumentAt, Put, Unit
from crm_core.testing.promises import Suite
from crm_core.testing.storage_harness import NOW, StorageHarness, put


class ClaimCases(Suite):
    """Claims: names that only one unit gets."""

    async def test_claim_once(self, storage: StorageHarness) -> None:
        """A second claim is a conflict with the evidence of the first."""
        await storage.commit(Unit(now=NOW, claims=(Claim("nonce", "a", b'{"by":1}'),)))
        again = Claim("nonce", "a", b'{"by":2}')
        outcome = await storage.store.commit("north", Unit(now=NOW, claims=(again,), puts=(put("a"),)))
        assert outcome == Conflict("claim", claim=again, evidence=b'{"by":1}')
        assert await storage.store.claim("north", "nonce", "a") == b'{"by":1}'
        assert await storage.store.claim("north", "other", "a") is None
        assert await storage.store.claim("south", "nonce", "a") is None
        assert await storage.store.count("north", "notes") == 0

    async def test_one_claimant_of_many(self, storage: StorageHarness) -> None:
        """Of concurrent claims exactly one succeeds, and the others get its evidence."""
        outcomes = await asyncio.gather(
            *(
                storage.store.commit("north", Unit(now=NOW, claims=(Claim("nonce", "a", b'{"by":%d}' % number),)))
                for number in range(20)
            )
        )
        assert sum(isinstance(outcome, Committed) for outcome in outcomes) == 1
        evidence = await storage.store.claim("north", "nonce", "a")
        assert all(outcome.evidence == evidence for outcome in outcomes if isinstance(outcome, Conflict))

    async def test_one_claim_twice_in_a_unit(self, storage: StorageHarness) -> None:
        """A unit that makes a claim twice is refused with the evidence of its first: a claim can be had once."""
        twice = (Claim("nonce", "a", b'{"by":1}'), Claim("nonce", "b", b"{}"), Claim("nonce", "a", b'{"by":2}'))
        conflict = await storage.refused(Unit(now=NOW, claims=twice, puts=(put("a"),)), "claim")
        assert (conflict.claim, conflict.evidence) == (twice[2], b'{"by":1}'), "the second one conflicts with the first"
        await storage.refused(Unit(now=NOW, claims=twice[::2]), "claim")
        for key in ("a", "b"):
            assert await storage.store.claim("north", "nonce", key) is None, "a refused unit gets none of its claims"

    async def test_claims_before_expectations(self, storage: StorageHarness) -> None:
        """If a claim and an expectation both fail, the conflict names the claim."""
        await storage.commit(Unit(now=NOW, claims=(Claim("nonce", "a", b"{}"),)))
        unit = Unit(now=NOW, claims=(Claim("nonce", "a", b"{}"),), expect=(DocumentAt("notes", "a", 5),))
        await storage.refused(unit, "claim")

    async def test_refused_unit_claims_nothing(self, storage: StorageHarness) -> None:
        """A unit in conflict gets none of its claims."""
        unit = Unit(now=NOW, claims=(Claim("nonce", "a", b"{}"),), expect=(DocumentAt("notes", "a", 5),))
        await storage.refused(unit, "document")
        assert await storage.store.claim("north", "nonce", "a") is None

    async def test_view_with_claims(self, storage: StorageHarness) -> None:
        """Evidence that is read with a view is in the order of the claims, and of no moment before the view."""
        claims = [("nonce", str(number)) for number in range(10)]

        async def write() -> None:
            for number in range(10):
                section = Put("sections", "branding", b'{"n":%d}' % number)
                claim = Claim("nonce", str(number), b"%d" % number)
                await storage.commit(Unit(now=NOW, claims=(claim,), puts=(section,), revises=True))

        writing, seen = asyncio.create_task(write()), None
        while seen != 10:
            view, evidence = await storage.store.view_and_claims("north", seen, claims)
            assert evidence[: view.revision] == [b"%d" % number for number in range(view.revision)]
            assert (view.documents is None) == (view.revision == seen)
            seen = view.revision
            await asyncio.sleep(0)
        await writing
        assert (await storage.store.view_and_claims("north", None, claims[:3:-1]))[1][0] == b"9"

    async def test_release(self, storage: StorageHarness) -> None:
        """A released claim can be made again, by the same unit too."""
        await storage.commit(Unit(now=NOW, claims=(Claim("key", "a", b"1"),)))
        await storage.commit(Unit(now=NOW, releases=(("key", "a"), ("key", "absent"))))
        assert await storage.store.claim("north", "key", "a") is None
        await storage.commit(Unit(now=NOW, claims=(Claim("key", "a", b"2"),)))
        await storage.commit(Unit(now=NOW, claims=(Claim("key", "a", b"3"),), releases=(("key", "a"),)))
        assert await storage.store.claim("north", "key", "a") == b"3"

    async def test_reserved_until_it_expires(self, storage: StorageHarness) -> None:
        """A claim is in effect through its last second, by the units' own time, and can be made again after it."""
        await storage.commit(Unit(now=NOW, claims=(Claim("key", "a", b"1", NOW + 10),)))
        at_the_end = Unit(now=NOW + 10, claims=(Claim("key", "a", b"2", NOW + 20),))
        await storage.refused(at_the_end, "claim")
        await storage.commit(Unit(now=NOW + 11, claims=(Claim("key", "a", b"3", NOW + 20),)))
        assert await storage.store.claim("north", "key", "a") == b"3"

    async def test_claim_without_expiry_stays(self, storage: StorageHarness) -> None:
        """A claim without expiry is never forgotten."""
        await storage.commit(Unit(now=NOW, claims=(Claim("hash", "a", b"1"),)))
        await storage.put(put("a"), now=NOW * 2)
        await storage.refused(Unit(now=NOW * 2, claims=(Claim("hash", "a", b"2"),)), "claim")

    async def test_forgotten_stamp(self, storage: StorageHarness) -> None:
        """A forgotten claim cannot be made again with its stamp, even if the clock steps back, or after a restart."""
        old = Claim("nonce", "a", b"1", NOW + 10, NOW)
        await storage.commit(Unit(now=NOW, claims=(old,)))
        await storage.put(put("a"), now=NOW + 11)
        for again in (False, True):
            store = await storage.reopen() if again else storage.store
            outcome = await store.commit("north", Unit(now=NOW, claims=(old,)))
            assert isinstance(outcome, Conflict)
            assert outcome.what in {"claim", "forgotten"}
        late = Unit(now=NOW + 12, claims=(Claim("nonce", "a", b"1", NOW + 99, NOW),))
        await storage.refused(late, "forgotten")
        await storage.commit(Unit(now=NOW + 12, claims=(Claim("nonce", "b", b"1", NOW + 99, NOW + 1),)))
        await storage.commit(Unit(now=NOW + 12, claims=(Claim("other", "a", b"1", NOW + 99, NOW),)))

    async def test_claims_survive_fold_and_restart(self, storage: StorageHarness) -> None:
        """Claims and forgotten stamps survive a fold and a restart."""
        await storage.commit(Unit(now=NOW, claims=(Claim("nonce", "a", b"1", NOW + 10, NOW), Claim("hash", "h", b"2"))))
        await storage.put(put("a"), now=NOW + 11)
        await storage.store.fold("north")
        store = await storage.reopen()
        assert await store.claim("north", "hash", "h") == b"2"
        await storage.refused(Unit(now=NOW + 12, claims=(Claim("nonce", "a", b"1", None, NOW),)), "forgotten")
