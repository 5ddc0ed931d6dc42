from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from free_ports import free_port
from fronts.inside import PATIENCE, Front, problem, read_chunk
from fronts.messages import HIDDEN, ONE, REFUSED
from fronts.processes import Program, nginx_words
from fronts.standin import Seen, StandIn, upstream

pytestmark = pytest.mark.system("nginx")

FULL = {
    "listen": "127.0.0.1:8080",
    "trusted_proxies": ["10.0.0.0/8", "2001:db8::/32", "unix"],
    "instances": {
        "eu1": {
            "upstreams": ["http://127.0.0.1:8000", "http://[::1]:8000", "unix:/run/crm/eu1.sock"],
            "drained": ["http://[::1]:8000"],
        },
        "us-2": {"upstreams": ["http://127.0.0.1"]},
    },
}


@asynccontextmanager
async def serving(
    folder: Path, instances: Mapping[str, Any], *, patient: bool = True, **more: Any
) -> AsyncIterator[Front]:
    """An nginx with the rendered routing, until the end of the block."""
    port = free_port()
    full = {code: {"upstreams": upstreams} for code, upstreams in instances.items()}
    file = folder / "instances.yaml"
    file.write_text(yaml.safe_dump({"listen": f"127.0.0.1:{port}", "instances": full, **more}))
    words = await asyncio.to_thread(nginx_words, folder)
    if not patient:
        rendered = (folder / "crm.conf").read_text()
        hurried = rendered.replace("client_body_timeout 35s;", "client_body_timeout 1s; keepalive_timeout 50ms;")
        (folder / "crm.conf").write_text(hurried)
    with Program(words, folder / "out.log") as program:
        await asyncio.to_thread(program.until, f"http://127.0.0.1:{port}/healthz")
        yield Front("127.0.0.1", port, file)


@pytest.mark.parametrize(
    "settings",
    [FULL, {"instances": {"eu1": {"upstreams": ["http://localhost:1"]}}}, {**FULL, "listen": "unix:/tmp/front.sock"}],
    ids=["full", "least", "unix"],
)
def test_nginx_takes_it(tmp_path: Path, settings: dict[str, Any]) -> None:
    """The rendered file passes nginx's own check for each kind of instances.yaml."""
    (tmp_path / "instances.yaml").write_text(yaml.safe_dump(settings))
    done = subprocess.run([*nginx_words(tmp_path), "-t"], capture_output=True, text=True, check=False)
    assert "test is successful" in done.stderr, done.stderr
    assert "[warn]" not in done.stderr, done.stderr


async def test_routing(tmp_path: Path) -> None:
    """An nginx routes as the manager does, answers in problems, and forwards nothing that is not an instance's."""
    dead = f"http://127.0.0.1:{free_port()}"
    async with upstream() as eu, upstream(where=f"unix:{tmp_path}/us2.sock") as us:
        async with serving(tmp_path, {"eu1": [eu.address], "us2": [us.address], "ap3": [dead]}) as front:
            target = "/i/eu1/t/n/x%20%C3%A9;a?q=%2F&b"
            assert (await front.ask(target, "POST", b"\x00\xffbody")).body == b"ok"
            assert (eu.seen[0].line, eu.seen[0].body) == (f"POST {target} HTTP/1.1".encode(), b"\x00\xffbody")
            assert (await front.ask("/i/us2/x")).status == (await front.ask("/i/eu1")).status == 200
            ready = await front.ask("/readyz")
            assert (ready.json(), len(ready.value("x-request-id"))) == ({"status": "ready"}, 32)
            for path in ("/i/us9/x", "/i/eu12/x", "/i/"):
                found = problem(await front.ask(path), 421, "misdirected_instance")
                assert found["type"] == "/i/ap3/docs/errors#misdirected_instance"  # the first in the file
            for path in ("/metrics", "/-/plugins", "/-/instances", "/-/front/not_found", "/", "/i/eu1/../../metrics"):
                problem(await front.ask(path), 404, "not_found")
            for path in ("/i/eu1/%00", "/i/eu1/%", "/../x"):
                problem(await front.ask(path), 400, "malformed_request")
            unavailable = await front.ask("/i/ap3/x", "POST", b"x")
            problem(unavailable, 502, "instance_unavailable")
            assert unavailable.value("retry-after") == "1"
            problem(await front.ask("/i/eu1/x", headers={"X": "y" * 70_000}), 431, "head_too_large")
        assert (len(eu.seen), len(us.seen)) == (2, 1)


async def test_fields(tmp_path: Path) -> None:
    """Instances get the client's address from nginx only, which believes the proxies in the file."""
    theirs = {
        "X-Forwarded-For": "192.0.2.1, 198.51.100.2",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil",
        "X-Real-IP": "192.0.2.1",
        "Forwarded": "for=192.0.2.1",
        "Proxy-Authorization": "Basic x",
        "Authorization": "Bearer crm_x",
    }
    async with upstream() as eu:
        async with serving(tmp_path, {"eu1": [eu.address]}) as front:
            await front.ask("/i/eu1/x", headers=theirs)
        async with serving(tmp_path, {"eu1": [eu.address]}, trusted_proxies=["127.0.0.0/8"]) as front:
            await front.ask("/i/eu1/x", headers=theirs)
        plain, trusting = ({name: seen.values(name) for name, _ in seen.fields} for seen in eu.seen)
    assert plain == {
        b"host": [b"front.example"],
        b"x-forwarded-for": [b"127.0.0.1"],
        b"x-forwarded-proto": [b"http"],
        b"authorization": [b"Bearer crm_x"],
    }
    assert trusting == {**plain, b"x-forwarded-for": [b"198.51.100.2"], b"x-forwarded-proto": [b"https"]}


async def test_events_and_bodies_stream(tmp_path: Path) -> None:
    """Events reach the client, and parts of a body the instance, as they come."""
    end = asyncio.Event()

    async def events(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"e\r\nevent: ready\n\n\r\n")
        await end.wait()
        writer.close()

    async with upstream(events) as eu, serving(tmp_path, {"eu1": [eu.address]}) as front:
        reader, writer = await front.open()
        writer.write(b"POST /i/eu1/events HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab")
        async with asyncio.timeout(PATIENCE):
            while not (eu.seen and eu.seen[0].body == b"ab"):  # noqa: ASYNC110 -- what the other side has so far
                await asyncio.sleep(0.01)
            writer.write(b"cd")
            assert b"text/event-stream" in await reader.readuntil(b"\r\n\r\n")
            assert await read_chunk(reader) == b"event: ready\n\n"
        end.set()
        writer.close()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Front, StandIn]]:
    """Run an nginx in front of a stand-in; it soon closes a connection over which nothing more comes."""
    async with upstream() as eu, serving(tmp_path, {"eu1": [eu.address]}, patient=False) as front:
        yield front, eu


async def test_smuggling(pair: tuple[Front, StandIn]) -> None:
    """The instance sees exactly the requests that nginx answered: none is hidden.

    It is more lenient than the manager: a bare line feed ends a line (RFC 9112, section 2.2, lets it), and the host in
    the address need not be the one in the field. How much so hangs on its version.
    """
    front, eu = pair
    for name, raw in {**REFUSED, **ONE}.items():
        before = len(eu.seen)
        answers = await front.talk(raw)
        seen = [each for each in eu.seen[before:] if each.whole]
        assert answers.count(b"HTTP/1.1 200 OK") == len(seen), name
        assert not any(each.body for each in seen if name in REFUSED and b"hidden" in each.line), name
    assert eu.seen[-1].body == HIDDEN


async def test_the_proxy_that_ends_tls_as_the_docs_write_it(tmp_path: Path) -> None:
    """A path that needs care, a body of 2 MiB, the Host with its port, and the client's address and scheme arrive."""
    page = (Path(__file__).parents[2] / "docs/manager.md").read_text(encoding="utf-8")
    written = page.partition("```nginx\n")[2].partition("```")[0]
    port, plain = free_port(), free_port()
    pem, key = tmp_path / "crm.pem", tmp_path / "crm.key"
    words = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=DNS:localhost", "-days", "2", "-keyout", str(key), "-out", str(pem)]
    await asyncio.to_thread(subprocess.run, words, capture_output=True, check=True)
    (tmp_path / "instances.yaml").write_text(yaml.safe_dump({"instances": {}}))
    nginx = await asyncio.to_thread(nginx_words, tmp_path)
    async with upstream() as behind:
        for example, here in (
            ("listen 443 ssl", f"listen 127.0.0.1:{plain}; listen 127.0.0.1:{port} ssl"),
            ("/etc/ssl/crm.pem", str(pem)),
            ("/etc/ssl/private/crm.key", str(key)),
            ("http://127.0.0.1:8080", behind.address),
        ):
            assert example in written
            written = written.replace(example, here)
        (tmp_path / "crm.conf").write_text(written)
        body, trusted = bytes(2 << 20), ssl.create_default_context(cafile=pem)
        request = Request(f"https://localhost:{port}/i/eu1/t/n/x%20%C3%A9;a", body)
        with Program(nginx, tmp_path / "out.log") as program:
            await asyncio.to_thread(program.until, f"http://127.0.0.1:{plain}/healthz")
            with await asyncio.to_thread(urlopen, request, context=trusted) as answer:
                assert answer.status == 200
    seen = behind.seen[-1]
    assert (seen.line, seen.body) == (b"POST /i/eu1/t/n/x%20%C3%A9;a HTTP/1.1", body)
    assert seen.values(b"host") == [f"localhost:{port}".encode()]
    assert (seen.values(b"x-forwarded-for"), seen.values(b"x-forwarded-proto")) == ([b"127.0.0.1"], [b"https"])
