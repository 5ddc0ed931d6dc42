"""Addresses, request ids and the pages of those who run an instance."""

from __future__ import annotations

import re
import socket

import pytest

from contract.box import BRANDING, Box, good, problem
from contract.conftest import Boxes
from crm_core import errors

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def raw(box: Box, target: str, *fields: str) -> tuple[int, bytes]:
    """GET a target unchanged, which a client would normalise."""
    lines = [f"GET {target} HTTP/1.1", "Host: crm", "Connection: close", *fields, "", ""]
    with socket.create_connection(("127.0.0.1", box.port)) as connection:
        connection.settimeout(10)
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(received.split(b" ", 2)[1]), received


@pytest.mark.parametrize(
    "target",
    [
        "/i/eu1/t/northwind//api/v1/bootstrap/public",
        "//i/eu1/t/northwind/api/v1/bootstrap/public",
        "/i/eu1/t/contoso/../northwind/api/v1/bootstrap/public",
        "/i/eu1/t/contoso/%2e%2e/northwind/api/v1/bootstrap/public",
        "/i/eu1/t/./northwind/api/v1/bootstrap/public",
        "/i/eu1/t/northwind%2fapi/v1/bootstrap/public",
        "/i/eu1/t/northwind%2Fapi/v1/bootstrap/public",
        "/i/eu1/t/northwind%5capi/v1/bootstrap/public",
        "/i/eu1/t/northwind\\api/v1/bootstrap/public",
        "/i/eu1/t/northwind/api/v1/bootstrap/public%00",
        "/i/eu1/t/northwind/api/v1/bootstrap/public%0d%0a",
        "/i/eu1/t/northwind/api/v1/bootstrap/public%",
        "/i/eu1/t/northwind/api/v1/bootstrap/%ff",
    ],
)
def test_a_path_that_two_readers_see_differently_is_refused_before_routing(box: Box, target: str) -> None:
    """Never served, regardless of where it would lead."""
    status, received = raw(box, target)
    assert status == 400
    assert b'"malformed_path"' in received
    assert b"x-request-id:" in received.lower()


@pytest.mark.parametrize("target", ["sync/br%61nding", "sync/branding?x=1", "sync/branding%20"])
def test_the_path_of_a_push_is_written_in_one_way_only(box: Box, target: str) -> None:
    """No percent sign and no query, so that the signed path is the routed one."""
    answer = box.push("branding", BRANDING, path=f"{box.base()}/{target}")
    problem(answer, 400, "invalid_parameter")


def test_every_answer_has_our_own_request_id(box: Box) -> None:
    """Also refusals, unknown addresses and 304; the caller's own is logged where it is one, and else dropped."""
    for target in ("/healthz", "/nowhere", f"{box.base()}/bootstrap", f"{box.base()}/bootstrap/public", "//"):
        status, received = raw(box, target, "X-Request-Id: mine")
        found = re.findall(rb"x-request-id: (\S+)", received.lower())
        assert len(found) == 1, (status, received)
        assert UUID7.fullmatch(found[0].decode())
    for sent, logged in (
        ("a.b:c_d-1", "a.b:c_d-1"),
        ("x" * 128, "x" * 128),
        ("x" * 129, None),
        ("a b", None),
        ("", None),
    ):
        receipt = box.applied("branding", BRANDING, headers={"X-Request-Id": sent})
        assert receipt["request_id"] != sent
        assert box.entry(receipt["request_id"])["client_request_id"] == logged


def test_an_unknown_address_and_a_wrong_method_are_refused(box: Box) -> None:
    """404, and 405 with the methods that there are."""
    problem(box.client.get("/nowhere"), 404, "not_found")
    problem(box.client.get(f"{box.base()}/nowhere"), 404, "not_found")
    answer = box.client.put(f"{box.base()}/bootstrap")
    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]
    problem(box.client.get(f"{box.base()}/sync/branding"), 405, "method_not_allowed")
    problem(box.client.get("/i/eu1/t/unknown/api/v1/bootstrap/public"), 404, "unknown_tenant")
    problem(box.client.get("/i/eu1/t/NorthWind/api/v1/bootstrap/public"), 404, "unknown_tenant")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "bootstrap/public"), ("GET", "invoices"), ("PUT", "bootstrap"), ("DELETE", "invoices/1")],
)
def test_an_address_of_another_instance_is_misdirected(box: Box, method: str, path: str) -> None:
    """Also where this one has no such address or method, since the other may have a plugin that brings it."""
    problem(box.client.request(method, f"/i/us9/t/northwind/api/v1/{path}"), 421, "misdirected_instance")


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/i/eu1/t/unknown", "There is no workspace at this address"),
        ("/i/eu1/t/unknown/", "There is no workspace at this address"),
        ("/i/eu1/t/unknown/customers/1?q=a", "There is no workspace at this address"),
        ("/i/eu1/t/unknown/nowhere", "There is no workspace at this address"),
        ("/i/eu1/", "There is no page at this address"),
    ],
)
def test_an_address_without_a_workspace_is_a_page_for_browsers(box: Box, path: str, title: str) -> None:
    """It has a theme and says what to do, and repeats nothing of the address; programs get the problem."""
    browser = {"Accept": "text/html,*/*;q=0.8"}
    shown = box.client.get(path, headers=browser, follow_redirects=True)
    assert (shown.status_code, shown.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert f"<h1>{title}</h1>" in shown.text
    assert "unknown" not in shown.text.replace("unknown_tenant", "").casefold()
    (theme,) = re.findall(r'id="theme" href="([^"]+)"', shown.text)
    assert "--primary" in box.client.get(theme).text
    german = box.client.get(path, headers={**browser, "Accept-Language": "de"}, follow_redirects=True)
    assert "Prüfen Sie die Adresse" in german.text
    code = "unknown_tenant" if "unknown" in path else "not_found"
    problem(box.client.get(path, follow_redirects=True), 404, code)


def test_liveness_readiness_and_documents_are_for_anyone(box: Box) -> None:
    """The document is valid OpenAPI 3.1 and names every payload type; its page loads nothing from elsewhere."""
    from openapi_spec_validator import validate  # a second of imports

    assert box.client.get("/healthz").status_code == 200
    assert good(box.client.get("/readyz"))["status"] == "ready"
    document = good(box.client.get("/openapi.json"))
    assert document["openapi"].startswith("3.1")
    validate(document)
    push = next(item for path, item in document["paths"].items() if path.endswith("/sync/{payload_type}"))["post"]
    assert "branding" in str(push)
    page = box.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?:https?:)?//""", page.text)


def test_the_type_of_a_problem_leads_to_its_code(box: Box) -> None:
    """Refusals of application, receiver and server lead to an entry on a page, which the instance serves for anyone."""
    refusals = [box.client.get(f"{box.base()}/nothing"), box.push("branding", {}, headers={"Sync-Signature": None})]
    refusals += [box.client.get("/%2e%2e/x"), box.client.get("/", headers={"X": "x" * 70_000})]
    assert [one.status_code for one in refusals] == [404, 401, 400, 431]
    for one in refusals:
        page, _, code = one.json()["type"].partition("#")
        assert (page, code) == ("/i/eu1/docs/errors", one.json()["code"])
        assert f'<section id="{code}">' in box.client.get(page).text
    page = box.client.get("/i/eu1/docs/errors").text
    kinds = [getattr(errors, name) for name in errors.__all__]
    codes = {one.code for one in kinds if issubclass(one, errors.CrmError) and "code" in vars(one)}
    assert sorted(re.findall(r'<section id="(.*?)">', page)) == sorted(codes | {"password_required"})  # each once
    problem(box.client.get("/i/us9/docs/errors"), 421, "misdirected_instance")


def test_the_documents_are_also_below_the_instance(box: Box) -> None:
    """A manager forwards these paths; the page's links and its style work there too."""
    assert box.client.get("/i/eu1/openapi.json").json() == box.client.get("/openapi.json").json()
    page = box.client.get("/i/eu1/docs")
    assert page.text == box.client.get("/docs").text
    for link in re.findall(r'href="([^"#]+)"', page.text):
        assert box.client.get(str(page.url.join(link))).status_code == 200, link
    problem(box.client.get("/i/eu1/docs/nothing"), 404, "not_found")


def test_metrics_and_plugins_are_for_operators(box: Box, boxes: Boxes) -> None:
    """From loopback by default; for anyone else they are not there."""
    box.applied("branding", BRANDING)
    metrics = box.client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "sync" in metrics.text
    (seconds,) = re.findall(r"^crm_sync_decision_seconds_sum (.+)$", metrics.text, re.MULTILINE)
    assert 0 < float(seconds) < 60, "a decision of less than a millisecond counts too"
    plugins = {one["name"]: one for one in good(box.client.get("/-/plugins"))}
    assert {"crm_features", "crm_branding", "crm_smtp", "crm_combined", "crm_tinydb", "crm_sync_v1"} <= plugins.keys()
    assert {one["state"] for one in plugins.values()} == {"active"}
    assert plugins["crm_features"].keys() >= {"name", "version", "kind", "state", "error"}
    assert plugins["crm_features"]["version"]
    closed = boxes(settings={"operators": ["10.0.0.0/8"]})
    for path in ("/metrics", "/-/plugins"):
        problem(closed.client.get(path), 404, "not_found")
    assert closed.client.get("/healthz").status_code == 200


def test_the_source_is_the_rightmost_address_that_is_no_trusted_proxy(box: Box, boxes: Boxes) -> None:
    """Without trusted proxies the header does not count."""
    forwarded = {"X-Forwarded-For": "192.0.2.7", "Sync-Signature": None}
    refusal = problem(box.push("branding", BRANDING, headers=forwarded), 401, "signature_missing")
    assert box.entry(refusal["request_id"])["source_ip"] == "127.0.0.1"
    proxied = boxes(settings={"trusted_proxies": ["127.0.0.1/32", "10.0.0.0/8"]})
    for header, source in (
        ("192.0.2.7", "192.0.2.7"),
        ("198.51.100.1, 192.0.2.7, 10.1.2.3", "192.0.2.7"),
        ("10.1.2.3", "10.1.2.3"),
        ("nonsense", None),
        ("2001:db8::7", "2001:db8::7"),
    ):
        refusal = problem(
            proxied.push("branding", BRANDING, headers={**forwarded, "X-Forwarded-For": header}),
            401,
            "signature_missing",
        )
        assert proxied.entry(refusal["request_id"])["source_ip"] == source


@pytest.mark.parametrize("path", ["/i/eu1/t/northwind", "/i/eu1/t/n%C3%A4h"])
def test_an_address_without_its_last_slash_leads_to_the_one_with_it(box: Box, path: str) -> None:
    """The way there names no scheme or host: behind a proxy that ends TLS they would be the wrong ones."""
    answer = box.client.get(path)
    assert answer.status_code == 308
    assert answer.headers["location"] == f"{path}/"
