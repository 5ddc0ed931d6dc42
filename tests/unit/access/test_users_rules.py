from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from crm_core.access.user import StoredUser
from crm_core.errors import CrmError
from crm_core.model.caller import Caller
from crm_core.model.permissions import SUPER_ADMIN

ROLES = ("super_admin", "admin", "agent")
ADDRESSES = tuple(f"{name}@example.com" for name in "abcdef")


async def everybody(access: Any) -> list[StoredUser]:
    """All users as they are now."""
    ids = [document.id async for document in access.backend.documents("north", "users")]
    return [await access.users.get("north", id_) for id_ in ids]


async def staffed(access: Any) -> None:
    """Two super admins and two of each other role, all with a password."""
    for number in range(6):
        await access.user(f"u{number}@example.com", ROLES[number % 3])


async def changed(
    access: Any, random: Random, people: list[StoredUser]
) -> tuple[Caller | None, StoredUser, StoredUser | CrmError]:
    """A random caller (None: the operator) changes a random user: caller, user before and outcome."""
    by = random.choice([None, *(one.caller("s") for one in people)])
    before, patch = random.choice(people), {}
    if random.random() < 0.5:
        patch["role"] = random.choice(ROLES)
    if random.random() < 0.5:
        patch["disabled"] = random.random() < 0.6
    if random.random() < 0.3:
        patch["email"] = random.choice(ADDRESSES)
    try:
        return by, before, await access.users.update("north", before.user.id, patch, by)
    except CrmError as error:
        return by, before, error


@pytest.mark.parametrize("seed", range(3))
async def test_no_caller_reaches_above_themselves(access: Any, seed: int) -> None:
    """Under random changes only super admins and the operator make or change super admins, and no one becomes one."""
    random = Random(seed)
    await staffed(access)
    refused = 0
    for _ in range(200):
        by, before, after = await changed(access, random, await everybody(access))
        if isinstance(after, CrmError):
            refused += 1
        elif by is not None and by.role != SUPER_ADMIN:
            assert SUPER_ADMIN not in (before.user.role, after.user.role)
    assert 20 < refused < 180


@pytest.mark.parametrize("seed", range(3))
async def test_an_active_super_admin_is_always_left(access: Any, seed: int) -> None:
    """Under random changes, six at a time, a super admin who can sign in is left and addresses stay unique."""
    random = Random(seed)
    await staffed(access)
    for _ in range(50):
        people = await everybody(access)
        await asyncio.gather(*(changed(access, random, people) for _ in range(6)))
        people = await everybody(access)
        assert any(one.user.is_active_super_admin for one in people)
        assert len({one.user.email.lower() for one in people}) == len(people)
