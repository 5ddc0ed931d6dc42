from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from fronts.inside import PATIENCE, managing, problem
from fronts.standin import answering, upstream


async def test_each_instance_gets_its_own(tmp_path: Path) -> None:
    """A request goes to the upstreams of the instance that its path names, and to no other."""
    async with (
        upstream() as eu,
        upstream() as us,
        managing(tmp_path, {"eu1": [eu.address], "us2": [us.address]}) as front,
    ):
        assert (await front.ask("/i/eu1/t/northwind/x")).body == b"ok"
        assert (await front.ask("/i/us2/t/contoso/y")).body == b"ok"
        assert [seen.line for seen in eu.seen] == [b"GET /i/eu1/t/northwind/x HTTP/1.1"]
        assert [seen.line for seen in us.seen] == [b"GET /i/us2/t/contoso/y HTTP/1.1"]


@pytest.mark.parametrize(
    "target",
    [
        "/i/eu1/t/n/api/v1/customers/external/a%20b%C3%A9:@;c",
        "/i/eu1/x?a=%2F+b&&c=d%26&e",
        "/i/eu1/x?q=a/../b//c",
        "/i/eu1",
    ],
)
async def test_target_and_body_byte_for_byte(tmp_path: Path, target: str) -> None:
    """Path, query and body arrive as they were sent, so that signatures over them stay valid."""
    body = bytes(range(256)) * 5
    async with upstream() as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        assert (await front.ask(target, "POST", body)).status == 200
        (seen,) = eu.seen
        assert seen.line == f"POST {target} HTTP/1.1".encode()
        assert seen.body == body
        assert seen.values(b"content-length") == [str(len(body)).encode()]


async def test_unknown_instance(tmp_path: Path) -> None:
    """An instance that is not in the file is misdirected; the page of the first one explains the code."""
    async with upstream() as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        for target in ("/i/us9/t/n/api/v1/sync/health", "/i/eu/x", "/i/eu12/x", "/i//x".replace("//", "/-/"), "/i/"):
            found = problem(await front.ask(target), 421, "misdirected_instance")
            assert found["type"] == "/i/eu1/docs/errors#misdirected_instance"
        assert not eu.seen
    async with managing(tmp_path, {}) as front:
        assert problem(await front.ask("/i/eu1/x"), 421, "misdirected_instance")["type"] == "about:blank"


async def test_pages_of_instances_are_never_forwarded(tmp_path: Path) -> None:
    """Paths outside /i/ stay with the manager: metrics and operator pages of instances cannot be reached."""
    async with upstream() as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        for target in ("/metrics", "/-/plugins", "/-/", "/", "/docs", "/-/instances/", "/I/eu1/x"):
            problem(await front.ask(target), 404, "not_found")
        assert not eu.seen


@pytest.mark.parametrize(
    "target",
    ["/i/eu1/../../metrics", "/i/eu1//x", "/i/eu1/%2e%2E/x", "/i/eu1%2fx", "/i/eu1/a%5Cb", "/i/eu1/%00", "/i/eu1/%zz"],
)
async def test_ambiguous_paths(tmp_path: Path, target: str) -> None:
    """A path that two readers may understand differently goes no further."""
    async with upstream() as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        problem(await front.ask(target), 400, "malformed_path")
        assert not eu.seen


async def test_own_health(tmp_path: Path) -> None:
    """The manager is live and ready even if no instance is."""
    async with managing(tmp_path, {"eu1": ["http://127.0.0.1:9"]}) as front:
        for target, status in (("/healthz", "ok"), ("/readyz", "ready")):
            assert (await front.ask(target)).json() == {"status": status}
            assert (await front.ask(target, "HEAD")).status == 200
            refused = await front.ask(target, "POST", b"")
            problem(refused, 405, "method_not_allowed")
            assert refused.value("allow") == "GET, HEAD"


async def test_operators(tmp_path: Path) -> None:
    """Operators see each instance, upstream, state and last error; others do not learn that the page is there."""
    async with upstream() as eu:
        instances = {"eu1": [eu.address], "us2": ["http://127.0.0.1:9"]}
        async with managing(tmp_path, instances) as front:
            await front.until("http://127.0.0.1:9", "down")
            report = (await front.ask("/-/instances")).json()
            (first,), (second,) = [one["upstreams"] for one in report["instances"]]
            assert [one["instance"] for one in report["instances"]] == ["eu1", "us2"]
            assert (first["state"], first["last_error"], first["in_flight"]) == ("up", None, 0)
            assert second["state"] == "down"
            assert second["last_error"]["what"].startswith("/readyz: ")
            assert report["roster"]["error"] is None
            for field in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):  # came through an untrusted proxy
                problem(await front.ask("/-/instances", headers={field: "127.0.0.1"}), 404, "not_found")
            for host, status in (("front.example", 404), ("localhost:80", 200), ("[::1]", 200)):  # DNS rebinding
                assert (await front.ask("/-/instances", host=host)).status == status
        async with managing(tmp_path, instances, operators=["192.0.2.0/24"], trusted_proxies=["127.0.0.1"]) as front:
            problem(await front.ask("/-/instances"), 404, "not_found")
            for chain, status in (("192.0.2.7", 200), ("192.0.2.7, 198.51.100.1", 404), ("198.51.100.1", 404)):
                assert (await front.ask("/-/instances", headers={"X-Forwarded-For": chain})).status == status


async def test_answers_pass_unchanged(tmp_path: Path) -> None:
    """Status, repeated header fields, encoded bodies and redirects come back as the instance gave them."""
    body = gzip.compress(b"hello " * 1000)
    raw = (
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /i/eu1/else\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
        b"Content-Encoding: gzip\r\nX-Request-Id: theirs\r\nDate: Tue, 24 Nov 2026 02:00:00 GMT\r\n"
        b"Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nContent-Length: %d\r\n\r\n" % len(body)
    ) + body
    async with upstream(answering(raw)) as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        answer = await front.ask("/i/eu1/x")
        assert answer.status == 307
        assert answer.body == body
        assert answer.values("set-cookie") == ["a=1", "b=2"]
        assert (answer.value("location"), answer.value("content-encoding")) == ("/i/eu1/else", "gzip")
        assert answer.value("x-request-id") == "theirs"
        assert len(answer.values("date")) == 1
        assert not answer.values("keep-alive")
        assert not answer.values("x-hop")
        assert not answer.values("server")
        assert len(eu.seen) == 1


@pytest.mark.parametrize(
    ("method", "raw", "length"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", ["5000"]),
        ("GET", b'HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\nETag: "x"\r\n\r\n', []),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n", []),
        ("POST", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ["0"]),
        ("GET", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ["0"]),
    ],
)
async def test_answers_without_a_body(tmp_path: Path, method: str, raw: bytes, length: list[str]) -> None:
    """Answers without a body end at their head, and the connection stays open."""
    async with upstream(answering(raw)) as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        reader, writer = await front.open()
        for _ in range(2):
            writer.write(f"{method} /i/eu1/x HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).lower()
            assert head.split(b" ")[1] in raw
            found = [
                each.partition(b": ")[2].decode() for each in head.split(b"\r\n") if each.startswith(b"content-length")
            ]
            assert found == length
        writer.close()
        assert len(eu.seen) == 2
        assert eu.connections <= 2  # one for the probes, one that was reused


async def test_unix_sockets(tmp_path: Path) -> None:
    """An upstream may be a unix socket."""
    async with (
        upstream(where=f"unix:{tmp_path}/eu1.sock") as eu,
        managing(tmp_path, {"eu1": ["unix:eu1.sock"]}) as front,
    ):
        assert (await front.ask("/i/eu1/x")).body == b"ok"
        assert eu.seen[0].values(b"host") == [b"front.example"]


async def test_people_get_a_page(tmp_path: Path) -> None:
    """A browser gets a page that reloads itself while the workspace is down, but not for a form; the API a problem."""
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with managing(tmp_path, {"eu1": ["http://127.0.0.1:9"]}) as front:
        page = await front.ask("/i/eu1/t/northwind/customers", headers=browser)
        assert (page.status, page.value("content-type")) == (502, "text/html; charset=utf-8")
        assert page.value("content-security-policy").startswith("default-src 'none'")
        text = page.body.decode()
        assert '<meta http-equiv="refresh" content="5">' in text
        assert page.value("x-request-id") in text
        assert "<h1>Instance unavailable</h1>" in text
        gone = await front.ask("/i/us9/t/northwind/", headers=browser)
        assert (gone.status, b"refresh" in gone.body) == (421, False)
        form = await front.ask("/i/eu1/t/northwind/logout", method="POST", headers=browser)
        assert (form.status, b"refresh" in form.body) == (502, False)
        problem(await front.ask("/i/eu1/t/n/api/v1/bootstrap", headers=browser), 502, "instance_unavailable")


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/i/eu1/t/n/password/secret.link", "/i/eu1/t/n/password/..."),
        ("/i/eu1/t/n/customers", "/i/eu1/t/n/customers"),
        ("/i/eu1/t/n/api/v1/customers/7", "/i/eu1/t/n/api/v1/customers/7"),
        ("/i/eu1/docs", "/i/eu1/docs"),
    ],
)
async def test_the_log_has_no_secret_link(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, logged: str
) -> None:
    """A link to set a password, which is still good after the failure, is not in the log of a request that failed."""
    async with managing(tmp_path, {"eu1": ["http://127.0.0.1:9"]}) as front:
        assert (await front.ask(path)).status == 502
    (line,) = [record for record in caplog.records if record.getMessage() == "request_failed"]
    assert line.__dict__["members"]["path"] == logged
