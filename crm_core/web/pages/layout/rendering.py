"""Templates into pages: everything that comes from outside is escaped, and the policy of each page forbids the rest."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from quart import Response

_KEPT: Final = 4096  # of each kind of part
HTML: Final = "text/html; charset=utf-8"
POLICY: Final = (
    "default-src 'self'; img-src 'self' https: data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)


class Parts:
    """Parts of pages as HTML, by the templates' own macros; the same part is made once and kept."""

    def __init__(self, macros: Any) -> None:
        self.badge: Callable[[Any], Markup] = lru_cache(_KEPT)(macros.badge)
        self.who: Callable[[str], Markup] = lru_cache(_KEPT)(macros.who)
        self.when: Callable[[Any], Markup] = lru_cache(_KEPT)(macros.when)
        self.tags: Callable[[tuple[str, ...]], Markup] = lru_cache(_KEPT)(macros.tags)
        self.cell: Callable[[str], Markup] = lru_cache(_KEPT)(macros.cell)
        self.row: Callable[[str, str, str, Any], Markup] = macros.row
        self.icon: Callable[[str], Markup] = lru_cache(_KEPT)(macros.icon)


class Renderer:
    """The templates, with ``assets`` (the address of the static files) known to all of them.

    They are compiled for the first page: an instance that shows none starts without them.
    """

    def __init__(self, assets: str) -> None:
        self._assets = assets

    @cached_property
    def _environment(self) -> Environment:
        made = Environment(
            loader=PackageLoader("crm_core.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        made.globals["assets"] = self._assets
        made.filters |= {"initials": initials, "breakable": breakable}
        return made

    @cached_property
    def parts(self) -> Parts:
        """The parts of pages."""
        return Parts(self._environment.get_template("parts.html").module)

    @cached_property
    def _templates(self) -> Environment:
        """The environment, with the parts known to all templates."""
        self._environment.globals |= {name: getattr(self.parts, name) for name in ("badge", "who", "when", "icon")}
        return self._environment

    @cached_property
    def shell(self) -> Any:
        """The macros around each page."""
        return self._templates.get_template("shell.html").module

    @cached_property
    def lists(self) -> Any:
        """The macros of lists."""
        return self._templates.get_template("list_parts.html").module

    def text(self, template: str, **values: Any) -> str:
        """A template filled in."""
        return self._templates.get_template(template).render(values)

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page as an answer. Pages hold what one user may see, so nobody keeps them."""
        made = Response(self.text(template, **values), status, content_type=HTML)
        made.headers["Content-Security-Policy"] = POLICY
        made.headers["Cache-Control"] = "no-store"
        return made


def initials(name: str) -> str:
    """One or two letters that stand for a name."""
    words = [word for word in name.replace("@", " ").split() if word[0].isalnum()]
    letters = [word[0] for word in words]
    return "".join(letters[:1] + letters[-1:] if len(letters) > 1 else letters).upper() or "?"


def breakable(code: str) -> Markup:
    """A code that may break after its underscores."""
    return Markup("_<wbr>").join(escape(part) for part in code.split("_"))
