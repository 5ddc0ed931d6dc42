"""Renders templates: text from outside is escaped, and each page's policy forbids inline scripts and styles."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, lru_cache
from importlib.util import cache_from_source
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import jinja2
from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup, escape
from werkzeug.urls import iri_to_uri

from crm_core import __version__
from crm_core.language import current, gettext, ngettext, single_periods
from crm_core.web.pages.browser import Response

_FOLDER: Final = Path(__file__).parents[2] / "templates"
_CACHED: Final = 4096  # of each kind of part
_BREAKS: Final = re.compile(r"(?<=[_@.])")
HTML: Final = "text/html; charset=utf-8"
POLICY: Final = (
    "default-src 'self'; img-src 'self' https: data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)


def _gettext(message: str, /, **values: object) -> str:
    """A sentence of a template; values that are HTML stay HTML, and all else is escaped."""
    if any(hasattr(value, "__html__") for value in values.values()):
        return escape(single_periods(gettext(message), values)).format(**values)
    return gettext(message, **values)


class PageView:
    """A template, and the values that it has as ``view``."""

    def __init__(self, template: str, /, **values: Any) -> None:
        self.template = template
        self.values = SimpleNamespace(**values)


class Parts:
    """Parts of pages as HTML, rendered by the templates' own macros and cached."""

    def __init__(self, macros: Any) -> None:
        self.badge: Callable[[Any], Markup] = lru_cache(_CACHED)(macros.badge)
        self.who: Callable[[str], Markup] = lru_cache(_CACHED)(macros.who)
        self.when: Callable[[Any], Markup] = lru_cache(_CACHED)(macros.when)
        self.tags: Callable[[tuple[str, ...]], Markup] = lru_cache(_CACHED)(macros.tags)
        self.cell: Callable[[str], Markup] = lru_cache(_CACHED)(macros.cell)
        self.row: Callable[[str, str, str, Any, str], Markup] = macros.row
        self.tick: Callable[..., Markup] = macros.tick
        self.icon: Callable[[str], Markup] = lru_cache(_CACHED)(macros.icon)
        self.pager: Callable[[Any], Markup] = macros.pager
        self.toast: Callable[[Any], Markup] = macros.toast


class CompiledTemplates(BytecodeCache):
    """Compiled templates, stored where Python stores compiled modules, and only if it may write those.

    To compile all of them takes a second.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(cache_from_source(str(folder / "template.py"))).parent

    def load_bytecode(self, bucket: Bucket) -> None:
        """Read a template that was compiled from the present text by this version; leave others to be compiled."""
        with suppress(OSError), self._path(bucket).open("rb") as file:
            bucket.load_bytecode(file)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Store a compiled template."""
        if sys.dont_write_bytecode:
            return
        path = self._path(bucket)
        part = path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(bucket.bytecode_to_string())
            part.replace(path)

    def _path(self, bucket: Bucket) -> Path:
        made_by = f"{sys.implementation.cache_tag}-{jinja2.__version__}-{__version__}"
        return self._folder / f"{bucket.key}.{made_by}.jinja"


class Renderer:
    """The templates, with ``assets`` (the address of the static files) known to all of them.

    Rendered text has a mark where the CSRF token belongs, and the token is written there when a page is sent. So
    nothing that is cached has the token of a session. No text from outside can contain the marks, which are random.
    """

    def __init__(self, assets: str) -> None:
        self._assets = assets
        self._cut, self._csrf_token = secrets.token_hex(16), secrets.token_hex(16)

    def load(self) -> None:
        """Load all templates; in a thread, as to compile one takes long."""
        for name in self._templates.list_templates(extensions=["html"]):
            self._templates.get_template(name)

    @cached_property
    def _environment(self) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(_FOLDER),
            bytecode_cache=CompiledTemplates(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.globals |= {"assets": self._assets, "cut": self._cut, "csrf_token": self._csrf_token}
        environment.globals |= {"_": _gettext, "ngettext": ngettext, "language": current}
        environment.filters |= {"initials": initials, "breakable": breakable}
        return environment

    @cached_property
    def parts(self) -> Parts:
        """The parts of pages."""
        return Parts(self._environment.get_template("parts.html").module)

    @cached_property
    def _templates(self) -> Environment:
        """The environment, with the macros of all parts known to all templates."""
        macros = vars(self._environment.get_template("parts.html").module)
        self._environment.globals |= {name: macro for name, macro in macros.items() if not name.startswith("_")}
        self._environment.globals |= {name: getattr(self.parts, name) for name in ("badge", "who", "when", "icon")}
        return self._environment

    def asset(self, name: str) -> str:
        """The address of a static file."""
        return f"{self._assets}/{name}"

    @cached_property
    def boards(self) -> Any:
        """The macros of boards."""
        return self._templates.get_template("board_parts.html").module

    def text(self, template: str, **values: Any) -> str:
        """A template filled in."""
        return self._templates.get_template(template).render(values)

    def cut(self, template: str, **values: Any) -> list[str]:
        """A template filled in, in the parts between its cuts."""
        return self.text(template, **values).split(self._cut)

    def response(self, text: str, csrf: str, status: int) -> Response:
        """A page with its CSRF token as a response, which no cache may store, since it is for one user."""
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
        return Response(text.replace(self._csrf_token, csrf), status, headers, HTML)


def see_other(location: str) -> Response:
    """Send the browser to another page (303); characters that no URI has are escaped."""
    return Response("", 303, {"Location": iri_to_uri(location), "Cache-Control": "no-store"})


def initials(name: str) -> str:
    """The initials of the first and the last word of a name."""
    first = [word[0] for word in name.replace("@", " ").split() if word[0].isalnum()]
    return "".join(first[:1] + first[1:][-1:]).upper() or "?"


def breakable(text: str) -> Markup:
    """A code or an email address with opportunities for a line break after underscores, dots and the at sign."""
    return Markup("<wbr>").join(_BREAKS.split(text))
