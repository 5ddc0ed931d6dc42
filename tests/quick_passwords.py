"""Instances whose passwords are hashed in a moment: with the true cost, hundreds of hashes take 40 ms each."""

from functools import cached_property

from argon2 import PasswordHasher

from crm_core.access.passwords import Passwords
from crm_core.services import Services

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Argon2id with the least cost that it has."""


def hash_quickly() -> None:
    """Let the instances of this process, and of processes forked from it, hash so."""
    quick = cached_property(lambda _services: Passwords(QUICK))
    quick.__set_name__(Services, "_passwords")
    Services._passwords = quick  # type: ignore[assignment]
