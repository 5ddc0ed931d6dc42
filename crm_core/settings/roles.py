"""roles.yaml: the rights of each role, within those of the tenant."""

from __future__ import annotations

from pathlib import Path

from crm_core.model.catalog import Catalog, Role, Roles
from crm_core.model.names import SNAKE_NAME, title_from
from crm_core.model.permissions import SUPER_ADMIN
from crm_core.settings.document import MappingMember, Node, is_there
from crm_core.settings.examples import BUILT_IN
from crm_core.settings.places import Wrong, hint, named, quoted
from crm_core.settings.reading import Members, list_of, mapping_of, read_file, set_of, text

_EMPTY = Roles({}, frozenset())


def load_roles(path: Path, *, catalog: Catalog) -> Roles:
    """The built-in roles, overridden by name by the file if it exists. Raises SetupError.

    The file's grants are checked against the catalog; built-in roles may name modules that are not in it.
    """
    if not is_there(path):
        return built_in_roles()
    return read_file(path, lambda node: _roles(node, catalog, built_in_roles()))


def built_in_roles() -> Roles:
    """The roles of an instance without roles.yaml."""
    return read_file(BUILT_IN / "roles.yaml", lambda node: _roles(node, None, _EMPTY))


def _roles(node: Node, catalog: Catalog | None, below: Roles) -> Roles:
    members = Members(node)
    core_keys = below.core_keys if catalog else members.get("core_keys", set_of(text), frozenset[str]())
    roles = members.get(
        "roles", lambda value: mapping_of(value, lambda member: _role(member, catalog, core_keys, below), "roles"), {}
    )
    members.done()
    return Roles({**below.roles, **roles}, core_keys)


def _role(member: MappingMember, catalog: Catalog | None, core_keys: frozenset[str], below: Roles) -> Role:
    members = Members(member.value, "the role's members")
    base = below.get(member.name)
    if SNAKE_NAME.fullmatch(member.name) is None:
        members.wrong(member.place, f"{quoted(member.name)} is not the name of a role; use a-z, 0-9 and `_`")
    if base is not None and member.name == SUPER_ADMIN:
        members.wrong(member.place, f"`{SUPER_ADMIN}` has all rights and cannot be changed; rename the role")
    title = members.get("title", text, base.title if base else title_from(member.name))
    read_grants = list_of(lambda item: _grant(item, catalog, core_keys))
    if base is not None:
        grant: tuple[str, ...] | None = members.get("grant", read_grants, base.grant)
    else:
        grant = members.required("grant", read_grants, '["module.*"]')
    members.done()
    assert grant is not None
    return Role(member.name, title, grant)


def _grant(node: Node, catalog: Catalog | None, core_keys: frozenset[str]) -> str:
    """``*``, ``module.*``, ``*.action``, a feature key, or one of the core's own keys."""
    written = text(node)
    if catalog is None or written == "*" or written in core_keys or written in catalog.keys:
        return written
    module, dot, action = written.partition(".")
    if not dot or not action:
        message = f'{quoted(written)} is not a grant; write a key as module.action, or "module.*", "*.action" or "*"'
        raise Wrong.at(node.place, message)
    actions = {key.partition(".")[2] for key in catalog.keys}
    if module == "*":
        if action not in actions:
            raise Wrong.at(node.place, f"no module has {named('an action', action)}; {hint(action, actions)}")
        return written
    if module not in catalog.modules:
        near = [*catalog.modules, *core_keys]
        raise Wrong.at(node.place, f"{quoted(module)} is not a known module; {hint(module, near)}")
    if action != "*":
        near = [*catalog.modules[module].features, f"{module}.*"]
        raise Wrong.at(node.place, f"{quoted(written)} is not a key of `{module}`; {hint(written, near)}")
    return written
