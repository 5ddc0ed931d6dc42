from __future__ import annotations

import msgspec
import pytest

from crm_core.errors import ReplayedNonce
from crm_core.model.keys import Key
from crm_core.plugin.signature import Presented
from crm_core.sync.nonces import HealthNonces
from crm_core.sync.push_request import Attempt
from sync_world import World


def attempt(world: World, nonce: str, *, tenant: str = "northwind", version: int = 1) -> Attempt:
    """A verified health request."""
    push = msgspec.structs.replace(world.push({}, kind="health"), tenant=tenant)
    made = Attempt(push, "eu1", push.received_at)
    made.key = Key(version, b"k" * 32)
    made.presented = Presented(timestamp=0, nonce=nonce, key_version=version)
    return made


def test_a_nonce_is_used_once_and_can_be_given_back(world: World) -> None:
    """A request that the server failed to answer may be repeated; one that was answered may not."""
    nonces = HealthNonces()
    nonces.use(attempt(world, "first"))
    with pytest.raises(ReplayedNonce) as refusal:
        nonces.use(attempt(world, "first"))
    assert refusal.value.evidence["original"]["status"] == "health"
    nonces.give_back(attempt(world, "first"))
    nonces.use(attempt(world, "first"))
    with pytest.raises(ReplayedNonce):
        nonces.use(attempt(world, "first"))


def test_a_nonce_counts_for_one_tenant_and_one_key(world: World) -> None:
    """The same text is another nonce for another tenant, and under another key."""
    nonces = HealthNonces()
    nonces.use(attempt(world, "same"))
    nonces.use(attempt(world, "same", tenant="contoso"))
    nonces.use(attempt(world, "same", version=2))
    nonces.give_back(attempt(world, "same", version=2))
    with pytest.raises(ReplayedNonce):
        nonces.use(attempt(world, "same"))
