from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.explain.captured_request import CapturedRequest, UnreadableCapture
from crm_core.explain.captures import read_capture
from crm_core.explain.visible import visible

PATH = "/i/eu1/t/northwind/api/v1/sync/branding"
FILES = {"a.json": b'{\r\n"a": 1\n}\n', "b": b"\xff"}


def read(text: str | bytes, url: str | None = None, body: bytes | None = None) -> CapturedRequest:
    raw = text.encode() if isinstance(text, str) else text
    return read_capture(raw, url=url, body=body, read_file=FILES.__getitem__)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_raw_request_is_read_byte_for_byte(end: str) -> None:
    """Request line, headers and body: the bytes of the body stay, header names become lower case."""
    head = end.join([f"POST {PATH}?a=b HTTP/1.1", "Host: crm.example:8443", "X-Note:  two words \t"])
    body = b"\xff\r\n\r\n "
    captured = read(head.encode() + end.encode() * 2 + body)
    assert captured == CapturedRequest(
        "POST",
        f"{PATH}?a=b",
        "crm.example:8443",
        (("host", "crm.example:8443"), ("x-note", "two words")),
        b"\xff\r\n\r\n ",
    )


@pytest.mark.parametrize(
    ("length", "body", "expected", "note"),
    [
        (2, b"{}", b"{}", None),
        (2, b"{}\r\n", b"{}", "is ignored"),
        (2, b"{} ", b"{} ", "incomplete or was changed"),
        (9, b"{}", b"{}", "incomplete or was changed"),
    ],
)
def test_content_length_shows_what_an_editor_added(length: int, body: bytes, expected: bytes, note: str | None) -> None:
    """A final line end beyond Content-Length is the editor's; any other difference is noted."""
    captured = read(f"POST {PATH} HTTP/1.1\nContent-Length: {length}\n\n".encode() + body)
    assert captured.body == expected
    assert (note or "") in "".join(captured.notes)
    assert bool(note) is bool(captured.notes)


def test_a_length_without_end_is_no_length() -> None:
    """A Content-Length of thousands of digits is ignored like any other invalid one."""
    for length in ("9" * 5000, "\u00b2", "-1"):
        captured = read(f"POST {PATH} HTTP/1.1\nContent-Length: {length}\n\n{{}}".encode())
        assert captured.body == b"{}"


def test_headers_alone_need_an_address(tmp_path: object) -> None:
    """Headers without a request line go to --url; the prefix of curl -v is ignored."""
    captured = read("> Sync-Nonce: n\n> X: y\n>\n", url=f"https://crm.example{PATH}", body=b"{}")
    assert captured == CapturedRequest(
        "POST", PATH, "crm.example", (("sync-nonce", "n"), ("x", "y")), b"{}", scheme="https"
    )
    with pytest.raises(UnreadableCapture, match="give --url"):
        read("Sync-Nonce: n\n\n{}")


def test_the_trace_of_curl_is_read() -> None:
    """Of the output of curl -v the sent lines count, not its remarks and not the answer."""
    sent = f"*   Trying 127.0.0.1:8000...\n> POST {PATH} HTTP/1.1\n> Host: crm.example\n> X: y\n> \n"
    captured = read(sent + "* upload done\n< HTTP/1.1 401 Unauthorized\n< X: z\n<\n{}", body=b"{}")
    assert captured == CapturedRequest("POST", PATH, "crm.example", (("host", "crm.example"), ("x", "y")), b"{}")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_chunked_body_is_assembled(end: str) -> None:
    """The body was signed, not its chunks; incomplete chunks are an error."""
    head = f"POST {PATH} HTTP/1.1\nTransfer-Encoding: chunked\n\n"
    assert read(head + end.join(["3;x=y", '{"a', "A", '":"\n:1234"', "1", "}", "0", "", ""])).body == b'{"a":"\n:1234"}'
    with pytest.raises(UnreadableCapture, match="incomplete"):
        read(head + "4\n{}")


@pytest.mark.parametrize(
    ("command", "method", "body"),
    [
        ("curl {} -H 'A: b' -d '{{\"x\": \"it'\\''s\"}}'", "POST", b'{"x": "it\'s"}'),
        ("curl -sSXPUT {} -HA:b --data-raw @a.json", "PUT", b"@a.json"),
        ("$ curl \\\n  --url {} \\\r\n  --header='A: b' --data-binary @a.json", "POST", FILES["a.json"]),
        ("curl -u me:secret -o /dev/null -H 'A:b' {} -d @a.json -d x", "POST", b'{"a": 1}&x'),
        ("curl --max-time 5 {} -H 'A: b'", "GET", b""),
        ("curl -H 'A: b' --json '{{}}' {}", "POST", b"{}"),
        ("curl {} -H 'A: b' --data-binary @b", "POST", b"\xff"),
    ],
)
def test_a_curl_command_is_read_as_curl_reads_it(command: str, method: str, body: bytes) -> None:
    """Options may be short, long and combined; --data drops the line ends of a file; -X wins over POST."""
    captured = read(command.format(f"http://crm.example:8000{PATH}"))
    assert (captured.method, captured.path, captured.authority, captured.body) == (
        method,
        PATH,
        "crm.example:8000",
        body,
    )
    assert ("a", "b") in captured.headers


def test_curl_names_the_type_of_a_form() -> None:
    """A body without a Content-Type is sent as a form, which no receiver accepts."""
    captured = read(f"curl http://crm.example{PATH} -d {{}}")
    assert ("content-type", "application/x-www-form-urlencoded") in captured.headers


def test_variables_in_a_command_are_pointed_at() -> None:
    """The values that the shell puts in are not in the capture, so a note says so."""
    captured = read(f'curl https://crm.example{PATH} -H "Sync-Nonce: $nonce" -d {{}}')
    assert "$variables" in captured.notes[0]


@pytest.mark.parametrize(
    "text", ["", "hello", "POST\n", "curl ''' x", "curl -H a:b", "POST / HTTP/1.1\nno header\n\n", "\x00"]
)
def test_a_capture_without_a_request_is_refused(text: str) -> None:
    """The error is a sentence."""
    with pytest.raises(UnreadableCapture, match=r"\w.*[.]$"):
        read(text)


@given(raw=st.binary(max_size=300), curl=st.booleans())
def test_any_bytes_are_read_or_refused(raw: bytes, curl: bool) -> None:
    """Any capture is read as a request or refused with UnreadableCapture."""
    try:
        captured = read_capture(b"curl " + raw if curl else raw, url=None, body=None, read_file=lambda _file: b"")
    except UnreadableCapture:
        return
    assert isinstance(captured.body, bytes)


def test_white_space_is_made_visible() -> None:
    """Each LF is shown at the end of its line, so a missing or an extra one is visible."""
    assert visible(b"a b\tc\r\nd") == ["a·b→c␍␊", "d"]
    assert visible(b"a\n") == ["a␊"]
    assert visible(b"\x1b[31m\xff\xc2\x9b") == ["\\x1b[31m\\xff\\x9b"]
    assert visible(b"") == []
