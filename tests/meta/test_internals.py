"""The members of libraries that are private, or documented nowhere, and that our code uses all the same."""

from __future__ import annotations

import ast
import asyncio
import inspect
import socket
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import tinydb.table
from quart import Quart
from quart.asgi import ASGIHTTPConnection
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

ROOT = Path(__file__).resolve().parents[2]

INTERNALS: Final[Mapping[str, str]] = {
    "uvicorn._types": "ASGI3Application ASGISendEvent",
    "uvicorn Config": "load loaded_app timeout_keep_alive",
    "uvicorn Config()": "app http ws interface log_config access_log proxy_headers server_header",
    "uvicorn ServerState": "connections default_headers tasks",
    "uvicorn HttpToolsProtocol": (
        "_start_asgi_task _unset_keepalive_if_required access_logger app connection_lost connection_made cycle "
        "data_received expect_100_continue flow headers logger loop on_body on_header on_headers_complete "
        "on_message_begin on_message_complete on_response_complete on_url parser pause_writing pipeline resume_writing "
        "scope server_state shutdown timeout_keep_alive_handler timeout_keep_alive_task transport url"
    ),
    "uvicorn FlowControl": "pause_reading read_paused resume_reading",
    "uvicorn RequestResponseCycle": (
        "body chunked_encoding default_headers disconnected expected_content_length flow keep_alive message_event "
        "more_body on_response receive response_complete response_started run_asgi scope send transport"
    ),
    "uvicorn RequestResponseCycle()": (
        "scope transport flow logger access_logger access_log default_headers message_event expect_100_continue "
        "keep_alive on_response"
    ),
    "httptools HttpRequestParser": (
        "feed_data get_http_version get_method set_dangerous_leniencies should_keep_alive should_upgrade"
    ),
    "httptools": (
        "HttpParserCallbackError HttpParserError HttpParserInvalidURLError HttpParserUpgrade HttpRequestParser "
        "parse_url"
    ),
    "quart Quart": "asgi_http_class handle_request",
    "quart ASGIHTTPConnection": "__call__ _create_request_from_scope _send_response app scope",
    "quart Request": "body scope",
    "quart Body": "append set_complete",
    "quart Response": "response",
    "quart DataBody": "data",
    "quart.utils": "encode_headers",
    "tinydb Table": "_read_table _update_table document_id_class name",
    "tinydb Table()": "storage name cache_size",
    "tinydb Storage": "read write",
    "aiohttp ClientResponse": "connection content raw_headers",
    "aiohttp Connection": "protocol",
    "aiohttp ResponseHandler": "is_connected",
    "aiohttp StreamReader": "at_eof read_nowait readany",
    "aiohttp ClientSession()": (
        "auto_decompress max_field_size max_headers max_line_size read_bufsize skip_auto_headers"
    ),
}
"""By the object, as ``objects`` names it; ``()``: the names of its parameters."""

MEMBERS: Final = [(where, name) for where, names in INTERNALS.items() for name in names.split()]
SUBCLASSES: Final = {
    ("crm_core/server/connection.py", "ServerConnection"): "uvicorn HttpToolsProtocol",
    ("crm_core/server/unread.py", "Unread"): "uvicorn HttpToolsProtocol",
    ("crm_core/server/cycle.py", "Cycle"): "uvicorn RequestResponseCycle",
    ("crm_core/web/connection.py", "RequestConnection"): "quart ASGIHTTPConnection",
    ("plugins/crm_tinydb/collection.py", "Collection"): "tinydb Table",
}
"""Our classes that extend one of a library, and where the members of that are listed."""


async def uvicorns() -> dict[str, Any]:
    """A connection of uvicorn's with a request that waits for its body."""
    started = asyncio.Event()

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        started.set()
        await receive()

    config, state = Config(app, ws="none", interface="asgi3", log_config=None), ServerState()
    config.load()
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with theirs:
        protocol = HttpToolsProtocol(config, state, {}, loop)
        await loop.connect_accepted_socket(lambda: protocol, ours)
        theirs.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
        await started.wait()
        found = {
            "uvicorn Config": config,
            "uvicorn Config()": Config,
            "uvicorn ServerState": state,
            "uvicorn HttpToolsProtocol": protocol,
            "uvicorn FlowControl": protocol.flow,
            "uvicorn RequestResponseCycle": protocol.cycle,
            "uvicorn RequestResponseCycle()": type(protocol.cycle),
            "httptools HttpRequestParser": protocol.parser,
        }
    await asyncio.gather(*state.tasks)  # the client left
    return found


async def quarts() -> dict[str, Any]:
    """A request of Quart's and its response."""
    app = Quart("internals", static_folder=None)

    async def view() -> str:
        return "x"

    app.add_url_rule("/", view_func=view)
    scope: Any = {
        "type": "http", "method": "GET", "scheme": "http", "path": "/", "query_string": b"", "headers": [],
        "http_version": "1.1", "asgi": {},
    }  # fmt: skip
    connection = ASGIHTTPConnection(app, scope)

    async def send(_message: Any) -> None: ...

    request = connection._create_request_from_scope(send)
    request.body.set_complete()
    response = await app.handle_request(request)
    return {
        "quart Quart": app,
        "quart ASGIHTTPConnection": connection,
        "quart Request": request,
        "quart Body": request.body,
        "quart Response": response,
        "quart DataBody": response.response,  # type: ignore[union-attr]
    }


async def aiohttps() -> dict[str, Any]:
    """A response of aiohttp's whose body is not complete, and its connection."""
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
            connection = response.connection
            assert connection is not None
            found = {
                "aiohttp ClientResponse": response,
                "aiohttp Connection": connection,
                "aiohttp ResponseHandler": connection.protocol,
                "aiohttp StreamReader": response.content,
                "aiohttp ClientSession()": aiohttp.ClientSession,
            }
        await ended.wait()
    return found


async def all_objects() -> dict[str, Any]:
    modules = {name: import_module(name) for name in ("uvicorn._types", "httptools", "quart.utils")}
    tiny = {
        "tinydb Table": tinydb.table.Table(tinydb.storages.MemoryStorage(), "t"),
        "tinydb Table()": tinydb.table.Table,
        "tinydb Storage": tinydb.Storage,
    }
    return {**modules, **tiny, **await uvicorns(), **await quarts(), **await aiohttps()}


@pytest.fixture(scope="module")
def objects() -> dict[str, Any]:
    """Objects of the libraries, made and used as the libraries do."""
    return asyncio.run(all_objects())


@pytest.mark.parametrize(("where", "name"), MEMBERS, ids=[f"{where}.{name}" for where, name in MEMBERS])
def test_an_internal_member_is_there(objects: dict[str, Any], where: str, name: str) -> None:
    """A release without it fails here by name, and not first in a request."""
    if where.endswith("()"):
        assert name in inspect.signature(objects[where]).parameters, f"{where} takes no {name} any more"
    else:
        assert hasattr(objects[where], name), f"{where} has no {name} any more"


@pytest.mark.parametrize(("path", "name"), SUBCLASSES, ids=[name for _, name in SUBCLASSES])
def test_each_inherited_member_is_listed(path: str, name: str) -> None:
    """Members that our class uses without defining them come from the library, so the list has them."""
    listed = set(INTERNALS[SUBCLASSES[path, name]].split())
    found = class_of(path, name)
    bases = {base.id for base in found.bases if isinstance(base, ast.Name)}
    ours = [class_of(*each) for each in SUBCLASSES if each[1] in bases]
    assert used(found) - listed - set().union(*map(own, [found, *ours])) == set()


def class_of(path: str, name: str) -> ast.ClassDef:
    tree = ast.parse((ROOT / path).read_text())
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    return found


def used(found: ast.ClassDef) -> set[str]:
    """The members of ``self`` and ``super()`` that a class names."""
    return {node.attr for node in ast.walk(found) if isinstance(node, ast.Attribute) and on_itself(node)}


def on_itself(node: ast.Attribute) -> bool:
    value = node.value
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == "super" and node.attr != "__init__"
    return isinstance(value, ast.Name) and value.id == "self"


def own(found: ast.ClassDef) -> set[str]:
    """The members that a class defines: methods, class attributes, and what it sets by a private or annotated name."""
    names: set[str] = set()
    for node in found.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names |= {
                name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
            }
    for inner in ast.walk(found):
        if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Attribute) and on_itself(inner.target):
            names.add(inner.target.attr)
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store) and inner.attr.startswith("_"):
            names.add(inner.attr)
    return names
