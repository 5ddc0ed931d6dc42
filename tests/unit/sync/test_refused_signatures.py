"""Refusals of the checks of a signature: each says what to do, and what became of the signature is logged."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from crm_core.errors import AmbiguousSignature, KeyInactive, StaleVersion, UnsupportedMediaType
from crm_core.model.keys import Key, TenantRoster
from crm_core.plugin.signature import Presented
from crm_core.sync.push_request import PushRequest
from crm_core.sync.signature_checks import Original, active_keys, replayed
from crm_sync_v1.scheme import NativeScheme
from sync_world import Clock, World


def with_header(push: PushRequest, name: str, value: str) -> PushRequest:
    return msgspec.structs.replace(push, headers=(*push.headers, (name, value)))


async def test_an_encoded_body_is_refused(world: World) -> None:
    """The signed bytes are those of the body as it came, so it may have no content encoding."""
    with pytest.raises(UnsupportedMediaType):
        await world.services.receiver.receive(with_header(world.push({"title": "T"}), "content-encoding", "gzip"))


async def test_headers_of_two_schemes_are_refused(world: World) -> None:
    """A request with headers of two schemes is refused with the names of both, in the order of the registry."""
    schemes = world.services.registry.schemes
    names = [name for name in schemes if name in ("crm-sync-v1", "standard-webhooks")]
    with pytest.raises(AmbiguousSignature) as caught:
        await world.services.receiver.receive(with_header(world.push({"title": "T"}), "webhook-id", "1"))
    assert caught.value.detail == f"The request has headers of {' and '.join(names)}. Send those of one scheme."


@pytest.mark.parametrize(("moved", "state"), [(2, "expired"), (-2, "staged")])
def test_a_key_outside_of_its_time_is_refused(moved: int, state: str) -> None:
    """A key that is named outside of its time is refused with its state; if none is named it is passed over."""
    now = Clock()()
    dated = Key(1, b"1" * 32, not_before=now - timedelta(hours=1), not_after=now + timedelta(hours=1))
    roster = TenantRoster(keys={1: dated, 2: Key(2, b"2" * 32)})
    at = now + timedelta(hours=moved)
    with pytest.raises(KeyInactive, match=r"The key of version 1 is .*expected_key") as caught:
        active_keys(NativeScheme(), Presented(timestamp=0, nonce="n", key_version=1), roster, at)
    assert caught.value.evidence == {"key_state": state}
    assert state in caught.value.detail
    unnamed = active_keys(NativeScheme(), Presented(timestamp=0, nonce="n"), roster, at)
    assert [key.version for key in unnamed] == [2]


async def test_the_log_has_a_valid_signature_of_a_refused_push(world: World) -> None:
    """A push that is refused after its signature matched is logged as valid, with its key as the actor."""
    await world.services.receiver.receive(world.push({"title": "T"}, version=5))
    with pytest.raises(StaleVersion):
        await world.services.receiver.receive(world.push({"title": "U"}, version=4))
    refused = (await world.entries())[0]
    assert (refused.status, refused.signature_result, refused.actor) == ("rejected", "valid", "key:2")


@pytest.mark.parametrize(
    ("status", "words"), [("applied", "was accepted.*nothing is left to do"), ("rejected", "Sign again with a new one")]
)
def test_a_replay_names_the_first_use(status: str, words: str) -> None:
    """The refusal of a used nonce names the request that used it, and says whether that was accepted."""
    first: dict[str, Any] = {"request_id": "r1", "received_at": "2026-11-24T02:00:00Z", "status": status, "version": 3}
    error = replayed(Original(**first))
    assert error.evidence == {"original": first}
    assert error.detail.startswith("Request r1 already used this nonce")
    with pytest.raises(type(error), match=words):
        raise error
