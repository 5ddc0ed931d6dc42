"""What rights, credentials and sign-ins cost."""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
import timeit
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Self

from benchmarks.frame import Measurement, Side
from benchmarks.load import Job, run
from benchmarks.serving import Product, product, raw
from crm_core.access.passwords import Passwords
from crm_core.access.tokens import Tokens
from crm_core.model.caller import Caller
from crm_core.model.entitlements import Entitlements
from crm_core.model.ids import Ids
from crm_core.model.modules import derive_modules
from crm_core.plugin.payload_calls import PayloadCalls
from crm_core.plugin.storage import StorageContext
from crm_core.settings.catalog import built_in_catalog
from crm_core.settings.roles import built_in_roles
from crm_core.workspace import Views, Workspace, keys_of
from crm_tinydb.storage import TinyDBBackend

CALLS, BATCH = 20_000, 500
LOGINS = 20  # a second
SECONDS = 4.0
PASSWORD = "correct horse battery"


def microseconds(work: Callable[[], object]) -> float:
    """What one call takes: the best of some batches, as the machine has other things to do in the others."""
    return min(timeit.repeat(work, number=BATCH, repeat=CALLS // BATCH)) / BATCH * 1e6


def rights(*, again: bool) -> Side:
    """Microseconds for the keys of an agent with an assignment; ``again``: one that the workspace has not met."""
    catalog = built_in_catalog()
    roles = built_in_roles()
    modules = derive_modules(catalog, Entitlements())
    workspace = Workspace("north", 1, 1, catalog, roles, {}, Entitlements(), modules)
    agent = Caller(kind="user", id="u", name="", revision=1, role="agent", assignment=("customers.*", "*.view"))
    keys_of(workspace, agent)

    def met() -> object:
        return keys_of(workspace, agent)

    def unmet() -> object:
        del workspace.rights[agent.role, agent.assignment]
        return keys_of(workspace, agent)

    return lambda: microseconds(unmet if again else met)


def tokens(folder: Path, runner: asyncio.Runner) -> tuple[Side, Side]:
    """Microseconds from a token's text to its caller, and for the store's look-up alone."""

    def now() -> datetime:
        return datetime.now(UTC)

    store = TinyDBBackend()
    runner.run(store.open(StorageContext(folder)))
    runner.run(store.create("north"))
    catalog = built_in_catalog()
    files = SimpleNamespace(generation=1, catalog=catalog, roles=built_in_roles())
    views = Views(store, files, PayloadCalls({}))
    made = Tokens(store, views, (b"k" * 32,), now=now, ids=Ids(now), record_types=("customers",))
    text, _ = runner.run(made.create("north", scopes=["customers:read"], by=None))

    async def batch(tries: Callable[[], Awaitable[object]]) -> float:
        began = time.perf_counter()
        for _ in range(BATCH):
            await tries()
        return (time.perf_counter() - began) / BATCH * 1e6

    async def best(tries: Callable[[], Awaitable[object]]) -> float:
        return min([await batch(tries) for _ in range(CALLS // BATCH)])

    return (
        lambda: runner.run(best(lambda: made.caller("north", text))),
        lambda: runner.run(best(lambda: store.find("north", "tokens", "digest", "0" * 64))),
    )


class Storm:
    """Sign-ins at a steady pace, each on its own connection."""

    def __init__(self, port: int, path: str, people: int) -> None:
        self._port, self._path, self._people = port, path, people
        self._over = threading.Event()
        self.answers: list[int] = []

    def __enter__(self) -> Self:
        self._pacing = threading.Thread(target=self._pace)
        self._pacing.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pacing.join()

    def _pace(self) -> None:
        began, threads = time.perf_counter(), []
        for number in range(100_000):
            if self._over.wait(max(0.0, began + number / LOGINS - time.perf_counter())):
                break
            threads.append(threading.Thread(target=self._sign_in, args=(number,)))
            threads[-1].start()
        for each in threads:
            each.join()

    def _sign_in(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        body = f'{{"email": "u{number % self._people}@example.com", "password": "{PASSWORD}"}}'
        connection.request("POST", self._path, body, {"Content-Type": "application/json"})
        self.answers.append(connection.getresponse().status)
        connection.close()


def getting(served: Product, *, storm: bool) -> Side:
    """The 99th percentile of GETs in milliseconds, alone or while people sign in."""
    headers = {"Authorization": f"Bearer {served.token('north', 'customers:read')}"}
    base = served.base("north")
    job = Job(served.port, [[raw("GET", f"{base}/customers?limit=1", headers)]] * 8, SECONDS)

    def side() -> float:
        if not storm:
            return run(job).only(200).p99
        with Storm(served.port, f"{base}/auth/login", people=5) as falling:
            outcome = run(job).only(200)
        assert set(falling.answers) == {200}, falling.answers
        assert len(falling.answers) >= LOGINS * SECONDS * 0.9, len(falling.answers)
        return outcome.p99

    return side


def verifying(runner: asyncio.Runner, passwords: Passwords, stored: str | None) -> Side:
    """Seconds to find that a password is wrong; ``stored`` None: because no one has the address."""

    def side() -> float:
        began = time.perf_counter()
        assert not runner.run(passwords.verify(stored, "wrong"))
        return time.perf_counter() - began

    return side


def measurements(folder: Path) -> Iterator[Measurement]:
    """Rights, tokens, and reads in a storm of sign-ins."""
    yield Measurement(
        name="access.rights", what="effective permissions of a user", unit=" us", a=rights(again=False), most=5, goal=1
    )
    yield Measurement(
        name="access.rights_anew", what="the same for an assignment not met before", unit=" us",
        a=rights(again=True), most=5,
    )  # fmt: skip
    with asyncio.Runner() as runner:
        caller, find = tokens(folder / "tokens", runner)
        yield Measurement(
            name="access.token", what="from a token to its caller, beyond the store's look-up", unit=" us",
            a=caller, b=find, compare="difference", most=2, goal=1,
        )  # fmt: skip
        passwords = Passwords()
        stored = runner.run(passwords.hash(PASSWORD))
        yield Measurement(
            name="access.unknown", what="refusing an unknown user against a wrong password", unit="x", least=0.83,
            most=1.2, rounds=15, a=verifying(runner, passwords, None), b=verifying(runner, passwords, stored),
        )  # fmt: skip
    with product(folder, ["north"]) as served:
        for number in range(5):
            user = ("--tenant", "north", "--email", f"u{number}@example.com", "--role", "agent", "--password-stdin")
            served.crm("user", "create", *user, given=PASSWORD + "\n")
        yield Measurement(
            name="access.storm", what=f"p99 of GETs during {LOGINS} logins/s against without", unit="x",
            a=getting(served, storm=True), b=getting(served, storm=False), most=3, rounds=5,
        )  # fmt: skip
