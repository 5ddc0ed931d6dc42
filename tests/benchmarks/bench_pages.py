"""The cost of the workspace's pages next to a stock Quart application, and of open pages that listen."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Final

from benchmarks import load
from benchmarks.frame import Measurement
from benchmarks.serving import CONNECTIONS, Product, product, raw, stock

TENANT: Final = "northwind"
EMAIL, PASSWORD = "jana@northwind.example", "seven sailing boats"
SECONDS: Final = 1.0
STREAMS: Final = 200  # what a tenant may have, and of these OF_EACH for each user
OF_EACH: Final = 20
LISTENERS: Final = [EMAIL, *(f"listener-{number}@northwind.example" for number in range(1, STREAMS // OF_EACH))]


def filled(served: Product) -> list[str]:
    """A workspace with customers and users; the cookie of each user, signed in."""
    for email in LISTENERS:
        words = ("user", "create", "--tenant", TENANT, "--email", email, "--role", "super_admin", "--password-stdin")
        served.crm(*words, given=PASSWORD + "\n")
    token = served.token(TENANT, "customers:write")
    for number in range(200):
        members = {"name": f"Customer {number}", "company": f"Company {number % 7}", "email": f"c{number}@mail.example"}
        members |= {"status": ("lead", "active", "inactive")[number % 3], "owner": EMAIL}
        asked = urllib.request.Request(
            f"http://127.0.0.1:{served.port}{served.base(TENANT)}/customers",
            data=json.dumps(members).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        urllib.request.urlopen(asked).close()
    return [signed_in(served, email) for email in LISTENERS]


class _Stay(urllib.request.HTTPRedirectHandler):
    """The answer itself, not where it leads."""

    def redirect_request(self, *_: object) -> None:
        return None


def signed_in(served: Product, email: str) -> str:
    """The cookie of a browser that has sent the sign-in form."""
    origin = f"http://127.0.0.1:{served.port}"
    address = f"{origin}/i/eu1/t/{TENANT}/login"
    with urllib.request.urlopen(address) as page:
        door = page.headers["Set-Cookie"].partition(";")[0]
        confirmation = re.search(r'name="csrf" value="([^"]+)"', page.read().decode())
    assert confirmation is not None
    form = {"csrf": confirmation.group(1), "next": "", "email": email, "password": PASSWORD}
    asked = urllib.request.Request(
        address, data=urllib.parse.urlencode(form).encode(), headers={"Origin": origin, "Cookie": door}
    )
    try:
        urllib.request.build_opener(_Stay).open(asked)
    except urllib.error.HTTPError as answer:
        if answer.code == 303:
            return str(answer.headers["Set-Cookie"]).partition(";")[0]
    raise AssertionError("the sign-in was not taken")


def measurements(folder: Path) -> Iterator[Measurement]:
    """A page of 25 customers against a stock GET; memory and reach of open streams."""
    with product(folder, [TENANT]) as served, stock(folder) as plain:
        cookies = filled(served)
        page = raw("GET", f"/i/eu1/t/{TENANT}/customers", {"Cookie": cookies[0], "Accept": "text/html"})
        ours = load.Job(served.port, [[page]] * CONNECTIONS, SECONDS)
        theirs = load.Job(plain.port, [[raw("GET", "/hello")]] * CONNECTIONS, SECONDS)
        yield Measurement(
            name="pages.customers", what="a page of 25 customers against a stock GET", unit="x", least=0.35, goal=0.5,
            a=lambda: load.run(ours, served.pid).only(200).figure,
            b=lambda: load.run(theirs, plain.pid).only(200).figure,
        )  # fmt: skip
        versions = count(1)
        yield Measurement(
            name="pages.streams.memory", what=f"memory of {STREAMS} open streams", unit=" MB", most=40,
            a=lambda: listening(served, cookies, versions)[0], rounds=1, warm=0,
        )  # fmt: skip
        yield Measurement(
            name="pages.streams.reach", what=f"a push until the last of {STREAMS} streams reports it", unit=" ms",
            most=1000, a=lambda: listening(served, cookies, versions)[1], rounds=5, warm=1,
        )  # fmt: skip


def listening(served: Product, cookies: list[str], versions: Iterator[int]) -> tuple[float, float]:
    """Open the streams and push; megabytes that they took, and milliseconds until the last one has the push."""
    before = resident(served.pid)
    with ExitStack() as stack:
        streams = [stack.enter_context(socket.create_connection(("127.0.0.1", served.port))) for _ in range(STREAMS)]
        for at, stream in enumerate(streams):
            fields = {"Cookie": cookies[at // OF_EACH], "Accept": "text/event-stream"}
            stream.sendall(raw("GET", f"{served.base(TENANT)}/events", fields))
        for stream in streams:
            until(stream, b"event: ready")
        took = resident(served.pid) - before
        number = next(versions)
        pushed = served.push(TENANT, "branding", {"title": f"Push {number}"}, number)
        began = time.perf_counter()
        with socket.create_connection(("127.0.0.1", served.port)) as platform:
            platform.sendall(pushed)
            until(platform, b"200")
        for stream in streams:
            until(stream, b"event: sync.applied")
        reached = (time.perf_counter() - began) * 1000
    time.sleep(1)  # until the server has noticed that they left
    return took, reached


def until(stream: socket.socket, words: bytes) -> None:
    """Read until the words have come. Raises AssertionError with what came instead."""
    stream.settimeout(10)
    received = b""
    while words not in received:
        try:
            more = stream.recv(65_536)
        except TimeoutError:
            more = b""
        assert more, f"not {words!r} but {received!r}"
        received += more
        assert received.startswith(b"HTTP/1.1 200 ") or not received.startswith(b"HTTP/"), received


def resident(pid: int) -> float:
    """Megabytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6
