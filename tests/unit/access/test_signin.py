from __future__ import annotations

import asyncio
import os
import threading
from typing import Any, Literal

import pytest
from argon2 import PasswordHasher

from crm_core.access import passwords as passwords_module
from crm_core.access.passwords import Passwords
from crm_core.access.signin import INVITATION, RESET
from crm_core.access.throttle import Buckets, LoginThrottle
from crm_core.errors import (
    InvalidCredentials,
    InvalidRecord,
    LoginThrottled,
    PermissionDenied,
    RevisionMismatch,
    StorageUnavailable,
    Unauthenticated,
)

PASSWORD = "correct horse battery"


class Recording(PasswordHasher):
    """Remembers what each password was verified against, without salt and hash."""

    def __init__(self, **cost: int) -> None:
        super().__init__(**cost)
        self.verified: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 -- argon2's name
        self.verified.append(str(hash).rsplit("$", 2)[0])
        return super().verify(hash, password)


async def refused(work: Any) -> str:
    with pytest.raises(InvalidCredentials) as caught:
        await work
    return str(caught.value.detail)


async def test_a_right_password_opens_a_session(access: Any, signs_in: Any) -> None:
    """The address counts regardless of case; the session belongs to the user."""
    stored = await access.user()
    session = await signs_in("ADA@example.com")
    assert (await access.sessions.caller("north", session.id)).id == stored.user.id


async def test_one_answer_for_all_that_is_wrong(access: Any, signs_in: Any) -> None:
    """Wrong password, unknown user, disabled user, and one without a password get the same answer."""
    await access.user()
    await access.user("off@example.com", disabled=True)
    await access.users.create("north", {"email": "new@example.com", "role": "agent"}, None)
    said = {
        await refused(signs_in(password="wrong")),
        await refused(signs_in("unknown@example.com")),
        await refused(signs_in("off@example.com")),
        await refused(signs_in("new@example.com")),
        await refused(signs_in(password="")),
        await refused(signs_in(password="x\ud800")),
    }
    assert len(said) == 1


async def test_one_time_for_all_that_is_wrong(access: Any, signs_in: Any) -> None:
    """An unknown user costs what a wrong password does: one verification, against a hash of the same cost."""
    hasher = access.passwords._hasher = Recording(time_cost=2, memory_cost=64, parallelism=1)
    await access.user()
    for email in ("ada@example.com", "unknown@example.com"):
        await refused(signs_in(email, "wrong"))
    known, unknown = hasher.verified
    assert known == unknown == "$argon2id$v=19$m=64,t=2,p=1"


async def test_an_account_is_throttled_regardless_of_source(access: Any, signs_in: Any) -> None:
    """After ten failures even the right password waits, and is good again once enough time has passed."""
    await access.user()
    await access.user("bob@example.com")
    for number in range(10):
        await refused(signs_in(password="wrong", source=f"198.51.100.{number}"))
    with pytest.raises(LoginThrottled) as caught:
        await signs_in()
    assert caught.value.retry_after == 90
    assert caught.value.detail.endswith(" Try again in 90 s.")
    await signs_in("bob@example.com")
    access.clock.forward(seconds=90)
    await signs_in()


async def test_unknown_accounts_are_throttled_alike(signs_in: Any) -> None:
    """The throttle does not reveal which accounts exist."""
    for _ in range(10):
        await refused(signs_in("unknown@example.com"))
    with pytest.raises(LoginThrottled):
        await signs_in("UNKNOWN@example.com")


async def test_attempts_at_one_moment_do_not_slip_through(access: Any, signs_in: Any) -> None:
    """Of thirty concurrent wrong guesses ten are looked at."""
    await access.user()
    outcomes = await asyncio.gather(*(signs_in(password="wrong") for _ in range(30)), return_exceptions=True)
    assert [type(one).__name__ for one in outcomes].count("InvalidCredentials") == 10


async def failed(throttle: LoginThrottle, email: str, source: str, tenant: str = "north") -> None:
    async with throttle.attempt(tenant, email, source):
        pass


async def test_a_source_is_throttled_over_all_accounts(clock: Any) -> None:
    """A hundred failures from one address stop it; of IPv6, its whole /64; another address continues."""
    throttle = LoginThrottle(clock)
    for number in range(100):
        await failed(throttle, f"a{number}@x.de", f"2001:db8::{number:x}")
    with pytest.raises(LoginThrottled):
        await failed(throttle, "b@x.de", "2001:db8::ffff", "south")
    await failed(throttle, "b@x.de", "2001:db8:0:1::1")
    clock.forward(seconds=9)
    await failed(throttle, "b@x.de", "2001:db8::ffff")


async def test_sign_ins_and_changes_of_passwords_count_for_their_source(access: Any, signs_in: Any) -> None:
    """A hundred wrong passwords from one address stop both there for every account, and nowhere else."""
    caller = await access.caller(await access.user())
    for number in range(100):
        await refused(signs_in(f"a{number}@example.com", source="192.0.2.7"))
    with pytest.raises(LoginThrottled):
        await signs_in(source="192.0.2.7")
    change = access.signin.change_password
    with pytest.raises(LoginThrottled):
        await change("north", caller, PASSWORD, "another long one", source="192.0.2.7")
    await signs_in(source="192.0.2.8")
    await change("north", caller, PASSWORD, "another long one", source="192.0.2.8")


async def test_addresses_of_ipv4_written_as_ipv6_count_alone(clock: Any) -> None:
    """A hundred failures of one stop that one, in either spelling, and no other."""
    throttle = LoginThrottle(clock)
    for number in range(100):
        await failed(throttle, f"a{number}@x.de", "::ffff:192.0.2.1")
    for source in ("::ffff:192.0.2.1", "192.0.2.1"):
        with pytest.raises(LoginThrottled):
            await failed(throttle, "b@x.de", source)
    await failed(throttle, "b@x.de", "::ffff:192.0.2.2")


async def test_spellings_of_an_address_share_their_failures(access: Any, signs_in: Any) -> None:
    """Space around it and its case lead to the same user, and so to the same ten failures."""
    await access.user()
    for number in range(10):
        await refused(signs_in(" " * number + "Ada@example.com" + "\t" * number, "wrong"))
    with pytest.raises(LoginThrottled):
        await signs_in(" ada@example.com ")


@pytest.mark.parametrize("how", ["admin", "link", "command"])
async def test_a_new_password_ends_the_lock_out(access: Any, signs_in: Any, how: str) -> None:
    """Set by an admin, by a link or on the machine; another change of the user, or of another user, does not end it."""
    stored, other = await access.user(), await access.user("bob@example.com")
    for number in range(10):
        await refused(signs_in(password="wrong", source=f"198.51.100.{number}"))
    await access.users.update("north", stored.user.id, {"name": "Ada"}, None)
    await access.users.update("north", other.user.id, {"password": "another long one"}, None)
    with pytest.raises(LoginThrottled):
        await signs_in()
    stored = await access.users.get("north", stored.user.id)
    if how == "admin":
        await access.users.update("north", stored.user.id, {"password": "another long one"}, None)
    elif how == "link":
        text = await access.signin.link("north", stored.user.id, RESET, by=None)
        await access.signin.set_password_by_link("north", text, "another long one")
    else:
        await access.users.set_password("north", stored, "another long one", "operator")
    await signs_in(password="another long one")


async def test_success_takes_its_attempt_back(clock: Any) -> None:
    """Sign-ins that succeed never add up to a throttle, neither for the account nor for a shared address."""
    throttle = LoginThrottle(clock)
    for number in range(1000):
        async with throttle.attempt("north", f"a{number % 20}@x.de", "192.0.2.1") as attempt:
            attempt.succeeded = True
    assert len(throttle._turns) == 0


async def test_many_concurrent_good_sign_ins_of_one_account_all_succeed(access: Any, signs_in: Any) -> None:
    """A custom app that signs in forty times at one moment gets forty sessions."""
    await access.user()
    assert len(await asyncio.gather(*(signs_in() for _ in range(40)))) == 40


def test_buckets_are_bounded_and_forget_what_leaked_away() -> None:
    """However many names come, only so many are remembered, and taking attempts back leaves nothing."""
    buckets = Buckets(2, 10.0, maxsize=5)
    for number in range(50):
        buckets.add(str(number), 0.0)
    assert len(buckets) == 5
    buckets.add("49", 0.0, -1)
    assert len(buckets) == 4
    buckets.add("48", 0.0)
    assert buckets.wait("48", 0.0) == 10.0
    assert buckets.wait("48", 4.0) == pytest.approx(6.0)
    assert buckets.wait("48", -100.0) == 10.0


async def test_the_queue_for_passwords_is_bounded(access: Any, signs_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the queue sign-ins and changes of passwords are to come again in a second, which is no one's failure."""
    emails = [f"u{number}@example.com" for number in range(7)]
    for email in emails:
        await access.user(email)
    monkeypatch.setattr(passwords_module, "_MAX_WAITING", 0)
    busy = threading.Event()
    others = [asyncio.create_task(access.passwords._run(lambda: busy.wait(20))) for _ in range(2)]
    outcomes = await asyncio.gather(*(signs_in(email) for email in emails), return_exceptions=True)
    caller = await access.caller(await access.users.by_email("north", emails[0]))
    for _ in range(12):
        with pytest.raises(LoginThrottled):
            await signs_in(emails[0])
        with pytest.raises(LoginThrottled):
            await access.signin.change_password("north", caller, PASSWORD, "another long one", source=None)
    busy.set()
    await asyncio.gather(*others)
    late = [one for one in outcomes if isinstance(one, LoginThrottled)]
    assert len(late) == 7
    assert {one.retry_after for one in late} == {1}
    assert {one.detail for one in late} == {"Too many people are signing in right now. Try again in a second."}
    await signs_in(emails[0])


async def test_a_password_that_was_not_checked_does_not_count(access: Any, signs_in: Any) -> None:
    """While the store or the threads fail, people do not lock themselves out of their accounts by trying again."""
    stored = await access.user()
    caller = await access.sessions.caller("north", (await signs_in()).id)

    async def failing(*_: Any) -> Any:
        raise StorageUnavailable("No.")

    find, verify = access.backend.find, access.passwords.verify
    access.backend.find = failing
    for _ in range(11):
        with pytest.raises(StorageUnavailable):
            await signs_in()
    access.backend.find, access.passwords.verify = find, failing
    for _ in range(11):
        with pytest.raises(StorageUnavailable):
            await access.signin.change_password("north", caller, PASSWORD, "a new long one", source=None)
    access.passwords.verify = verify
    assert (await signs_in()).user == stored.user.id


async def test_passwords_are_argon2id_and_their_threads_give_way() -> None:
    """Hashes name OWASP's parameters; on Linux the threads run at lower priority than the loop's."""
    passwords = Passwords()
    stored = await passwords.hash(PASSWORD)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(stored, PASSWORD)
    assert not await passwords.verify(stored, PASSWORD + "x")
    assert not await passwords.verify(None, PASSWORD)
    assert await passwords.verify(await passwords.hash("pa\u00dfw\u00f6rter"), "pa\u00dfwo\u0308rter")
    assert not await passwords.verify("no hash", PASSWORD)
    if hasattr(os, "sched_getaffinity"):
        nice = await passwords._run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        assert nice > os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


async def test_changing_ones_password_needs_the_old_one(access: Any, signs_in: Any) -> None:
    """The old password is asked for, the new one checked, and every sign-in ends."""
    stored = await access.user()
    session = await signs_in()
    caller = await access.sessions.caller("north", session.id)
    change = access.signin.change_password
    await refused(change("north", caller, "wrong", "a new long one", source=None))
    for poor in ("short", "x" * 257, stored.user.email):
        with pytest.raises(InvalidRecord):
            await change("north", caller, PASSWORD, poor, source=None)
    await change("north", caller, PASSWORD, "a new long one", source=None)
    with pytest.raises(Unauthenticated):
        await access.sessions.caller("north", session.id)
    await refused(signs_in())
    await signs_in(password="a new long one")


async def test_a_link_sets_a_password_once(access: Any, signs_in: Any) -> None:
    """An invited user chooses a password by the link; the link is good once, for one user and one tenant."""
    stored = await access.users.create("north", {"email": "new@example.com", "role": "agent"}, None)
    text = await access.signin.link("north", stored.user.id, INVITATION, by=None)
    assert (await access.signin.user_of_link("north", text)).user.email == "new@example.com"
    with pytest.raises(InvalidRecord):
        await access.signin.set_password_by_link("north", text, "short")
    outcomes = await asyncio.gather(
        *(access.signin.set_password_by_link("north", text, PASSWORD) for _ in range(3)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in outcomes) == ["StoredUser", "Unauthenticated", "Unauthenticated"]
    await signs_in("new@example.com")
    for spent in (text, "", "a.b"):
        with pytest.raises(Unauthenticated):
            await access.signin.user_of_link("north", spent)
    with pytest.raises(Unauthenticated):
        await access.signin.user_of_link("south", text)


async def test_a_link_outlives_another_change_of_its_user(access: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If an admin changes the user while the password is hashed, the link is not used up and not reported as such."""
    stored = await access.user()
    text = await access.signin.link("north", stored.user.id, RESET, by=None)
    names, hashed = iter(["Ada"]), access.passwords.hash

    async def meanwhile(password: str) -> str:
        for name in names:
            await access.users.update("north", stored.user.id, {"name": name}, None)
        return str(await hashed(password))

    monkeypatch.setattr(access.passwords, "hash", meanwhile)
    with pytest.raises(RevisionMismatch, match="Send the request again"):
        await access.signin.set_password_by_link("north", text, "another long one")
    assert (await access.signin.set_password_by_link("north", text, "another long one")).user.name == "Ada"


async def test_links_end_with_time_disabling_and_another_password(access: Any) -> None:
    """A link is worth nothing after its time, once another link was used, and for a disabled user."""
    stored = await access.user()
    late, other = [await access.signin.link("north", stored.user.id, RESET, by=None) for _ in range(2)]
    access.clock.forward(hours=2)
    with pytest.raises(Unauthenticated):
        await access.signin.set_password_by_link("north", late, PASSWORD)
    first, other = [await access.signin.link("north", stored.user.id, RESET, by=None) for _ in range(2)]
    await access.signin.set_password_by_link("north", first, PASSWORD)
    with pytest.raises(Unauthenticated):
        await access.signin.set_password_by_link("north", other, PASSWORD)
    text = await access.signin.link("north", stored.user.id, RESET, by=None)
    await access.users.update("north", stored.user.id, {"disabled": True}, None)
    with pytest.raises(Unauthenticated):
        await access.signin.set_password_by_link("north", text, PASSWORD)


async def test_a_link_ends_with_the_address_that_it_went_to(access: Any) -> None:
    """Who reads the mailbox of a mistyped or earlier address gets no account; another spelling of the same is none."""
    stored = await access.user(email="jana@wrong.example", password=None)
    text = await access.signin.link("north", stored.user.id, INVITATION, by=None)
    await access.users.update("north", stored.user.id, {"email": "Jana@WRONG.example"}, None)
    assert (await access.signin.user_of_link("north", text)).user.id == stored.user.id
    await access.users.update("north", stored.user.id, {"email": "jana@right.example"}, None)
    with pytest.raises(Unauthenticated):
        await access.signin.set_password_by_link("north", text, PASSWORD)


async def test_only_super_admins_get_a_super_admins_link(access: Any) -> None:
    """An admin cannot have a link of a super admin shown, which would make them one; another super admin can."""
    ruler = await access.user("root@example.com", "super_admin")
    admin = await access.caller(await access.user(role="admin"))
    with pytest.raises(PermissionDenied):
        await access.signin.link("north", ruler.user.id, RESET, by=admin)
    assert await access.signin.link("north", ruler.user.id, RESET, by=await access.caller(ruler))
    assert await access.signin.link("north", admin.id, RESET, by=admin)
