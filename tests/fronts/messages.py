"""Requests that two readers of HTTP may understand differently (RFC 9112, section 11.2).

``HIDDEN`` is in each the request that must never be seen: where ``REFUSED`` tries to pass it for a second request, and
where it is no more than the body of ``ONE``.
"""

from __future__ import annotations

POST = b"POST /i/eu1/x HTTP/1.1\r\nHost: h\r\n"
HIDDEN = b"GET /i/eu1/hidden HTTP/1.1\r\nHost: h\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(HIDDEN)
CHUNKED = b"Transfer-Encoding: chunked\r\n"

REFUSED = {
    "both lengths": POST + LENGTH + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    "both lengths, the other way round": POST + CHUNKED + LENGTH + b"\r\n0\r\n\r\n" + HIDDEN,
    "two lengths that differ": POST + b"Content-Length: 0\r\n" + LENGTH + b"\r\n" + HIDDEN,
    "two lengths in one field": POST + b"Content-Length: 0, 44\r\n\r\n" + HIDDEN,
    "a length with a sign": POST + b"Content-Length: +0\r\n\r\n" + HIDDEN,
    "a length in hexadecimal": POST + b"Content-Length: 0x0\r\n\r\n" + HIDDEN,
    "a folded field": POST + b"X-A: b\r\n " + LENGTH + b"\r\n" + HIDDEN,
    "a folded length": POST + b"Content-Length:\r\n 0\r\n\r\n" + HIDDEN,
    "a bare line feed": POST + b"X-A: b\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a head of bare line feeds": b"GET /i/eu1/x HTTP/1.1\nHost: h\n\n" + HIDDEN,
    "a bare carriage return": POST + b"X-A: b\rContent-Length: 0\r\n\r\n" + HIDDEN,
    "a zero byte": POST + b"X-A: b\x00c\r\n\r\n" + HIDDEN,
    "white space before a colon": POST + b"Content-Length : 0\r\n\r\n" + HIDDEN,
    "white space before a field": POST + b" Content-Length: 0\r\n\r\n" + HIDDEN,
    "two hosts": b"GET /i/eu1/x HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n" + HIDDEN,
    "no host": b"GET /i/eu1/x HTTP/1.1\r\n\r\n" + HIDDEN,
    "two ways to name the host": b"GET http://g/i/eu1/x HTTP/1.1\r\nHost: h\r\n\r\n" + HIDDEN,
    "chunked twice": POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    "chunked in disguise": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked after another coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked before another coding": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a coding with a tab": POST + b"Transfer-Encoding:\tchunked\x0b\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked in HTTP/1.0": b"POST /i/eu1/x HTTP/1.0\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    "a chunk size with a sign": POST + CHUNKED + b"\r\n+2\r\nab\r\n0\r\n\r\n" + HIDDEN,
    "a chunk size in 0x": POST + CHUNKED + b"\r\n0x2\r\nab\r\n0\r\n\r\n" + HIDDEN,
    "a chunk size beyond 64 bits": POST + CHUNKED + b"\r\n10000000000000002\r\nab\r\n0\r\n\r\n" + HIDDEN,
    "a chunk that is longer than it says": POST + CHUNKED + b"\r\n2\r\nabc\r\n0\r\n\r\n" + HIDDEN,
    "a chunk line that ends in a line feed": POST + CHUNKED + b"\r\n2\nab\r\n0\r\n\r\n" + HIDDEN,
    "a line feed in a chunk extension": POST + CHUNKED + b"\r\n2;a\nb\r\nab\r\n0\r\n\r\n" + HIDDEN,
    "a chunk that ends in a line feed": POST + CHUNKED + b"\r\n2\r\nab\n0\r\n\r\n" + HIDDEN,
    "a length in the trailers": POST + CHUNKED + b"\r\n2\r\nab\r\n0\r\nContent-Length: 2\r\n\r\n" + HIDDEN,
    "no size at all": POST + CHUNKED + b"\r\n\r\n" + HIDDEN,
    "a line within the path": b"GET /i/eu1/x\x0bHTTP/1.1 HTTP/1.1\r\nHost: h\r\n\r\n" + HIDDEN,
    "another protocol": b"GET /i/eu1/x HTTP/2.0\r\nHost: h\r\n\r\n" + HIDDEN,
    "the start of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "a tunnel": b"CONNECT /i/eu1/x HTTP/1.1\r\nHost: h\r\n\r\n" + HIDDEN,
}

ONE = {
    "a length that counts another request in": POST + LENGTH + b"Connection: close\r\n\r\n" + HIDDEN,
    "chunks that contain another request": (
        POST + CHUNKED + b"Connection: close\r\n\r\n%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n"
    ),
    "an upgrade to another protocol": (
        POST + b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
        + LENGTH + b"\r\n" + HIDDEN
    ),
    "a connection that drops the length": POST + LENGTH + b"Connection: close, Content-Length\r\n\r\n" + HIDDEN,
    "trailers that look like fields": (
        POST + CHUNKED + b"Connection: close\r\nTrailer: Content-Length\r\n\r\n"
        + b"%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\nX-Length: 0\r\nHost: g\r\n\r\n"
    ),
}  # fmt: skip
