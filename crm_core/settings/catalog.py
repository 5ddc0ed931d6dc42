"""modules.yaml: the catalog of modules, the plan until one is pushed, and what no push may touch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from crm_core.model.catalog import RECORD_ACTIONS, Catalog, Module, SyncPolicy
from crm_core.model.entitlements import PlanGrant
from crm_core.model.names import SNAKE_NAME, title_from
from crm_core.settings.document import Items, MappingMember, Node, Scalar, is_there
from crm_core.settings.document import Mapping as MappingNode
from crm_core.settings.examples import BUILT_IN
from crm_core.settings.places import FileProblem, Wrong, hint, quoted
from crm_core.settings.reading import Members, integer, list_of, mapping_of, matching, one_of, read_file, set_of, text

_FEATURE = re.compile(rf"{SNAKE_NAME.pattern}\.{SNAKE_NAME.pattern}")
_read_module = matching(SNAKE_NAME, "the name of a module; use a-z, 0-9 and `_`")
_read_feature = matching(_FEATURE, "a feature key; write it as module.action")
_LONGEST_CHAIN = 16  # modules that require one another in a row
_EMPTY = Catalog({}, PlanGrant("none", "None", ()))


class Guarded(Protocol):
    """A record type as the catalog reads it: its name, and the module whose keys guard it."""

    NAME: ClassVar[str]

    @property
    def module(self) -> str: ...  # noqa: D102 -- the class says it


def load_catalog(path: Path, *, record_types: Iterable[Guarded]) -> Catalog:
    """The built-in catalog, overridden by the file if it exists. Raises SetupError.

    Each of ``record_types`` adds its module unless the catalog has it.
    """
    if is_there(path):
        return read_file(path, lambda node: _catalog(node, built_in_catalog(), record_types))
    return built_in_catalog(record_types)


def built_in_catalog(record_types: Iterable[Guarded] = ()) -> Catalog:
    """The catalog of an instance without modules.yaml."""
    return read_file(BUILT_IN / "catalog.yaml", lambda node: _catalog(node, _EMPTY, record_types))


def _catalog(node: Node, below: Catalog, record_types: Iterable[Guarded]) -> Catalog:
    members = Members(node)

    def read_module(member: MappingMember) -> Module:
        try:
            return _module(member, below)
        except Wrong as wrong:
            members.problems.extend(wrong.problems)
            return _salvaged(member)

    named = members.get("modules", lambda value: mapping_of(value, read_module, "modules"), {})
    modules = {**below.modules, **named}
    guards = {record_type.NAME: record_type.module for record_type in record_types}
    for module in guards.values():
        modules.setdefault(module, _of_record_type(module))
    modules = dict(sorted(modules.items(), key=lambda item: (item[1].order, item[0])))
    entry = members.find("modules")
    if entry is not None and isinstance(entry.value, MappingNode):
        members.problems.extend(_requirements(entry.value, modules))
    plan = members.get("default_plan", lambda value: _plan(value, modules), below.default_plan)
    policy = members.get("sync_policy", lambda value: _policy(value, modules, below.policy), below.policy)
    members.done()
    return Catalog(modules, plan, policy, {name: module for name, module in guards.items() if name != module})


def _module(member: MappingMember, below: Catalog) -> Module:
    members = Members(member.value, "the module's members")
    name = member.name
    if SNAKE_NAME.fullmatch(name) is None:
        members.wrong(member.place, f"{quoted(name)} is not the name of a module; use a-z, 0-9 and `_`")
    base = below.modules.get(name) or Module(name, title_from(name), (f"{name}.view",))
    module = Module(
        name=name,
        title=members.get("title", text, base.title),
        features=members.get("features", lambda value: _features(value, name), base.features),
        requires=members.get("requires", list_of(_read_module, unique="module"), base.requires),
        group=members.get("group", matching(SNAKE_NAME, "the name of a group; use a-z, 0-9 and `_`"), base.group),
        icon=members.get("icon", text, base.icon),
        order=members.get("order", integer(0, 1_000_000), base.order),
    )
    members.done()
    return module


def _salvaged(member: MappingMember) -> Module:
    """A module that did not load, so that references to it are not reported as mistakes too."""
    entry = Members(member.value).find("features") if isinstance(member.value, MappingNode) else None
    items = entry.value.items if entry is not None and isinstance(entry.value, Items) else ()
    keys = tuple(item.text for item in items if isinstance(item, Scalar))
    return Module(member.name, member.name, (f"{member.name}.view", *keys))


def _features(node: Node, module: str) -> tuple[str, ...]:
    def own(item: Node) -> str:
        key = _read_feature(item)
        if not key.startswith(f"{module}."):
            raise Wrong.at(
                item.place, f"{quoted(key)} is not a key of {quoted(module)}; its keys start with `{module}.`"
            )
        return key

    keys = list_of(own, unique="feature key")(node)
    if f"{module}.view" not in keys:
        raise Wrong.at(node.place, f"every module has a key to view it; add {module}.view")
    return keys


def _requirements(node: MappingNode, modules: Mapping[str, Module]) -> list[FileProblem]:
    """Unknown modules that the file's own entries require, and circles."""
    problems: list[FileProblem] = []
    long = _is_long(set(modules), modules)
    for member in node.members:
        module = modules[member.name]
        entry = Members(member.value).find("requires") if isinstance(member.value, MappingNode) else None
        place = entry.value.place if entry is not None else member.place
        problems.extend(
            FileProblem(place, f"{quoted(other)} is not a known module; {hint(other, modules)}")
            for other in module.requires
            if other not in modules
        )
        if long and _is_long({member.name}, modules):
            if circle := _circle(member.name, modules):
                message = f"the modules require each other in a circle ({' -> '.join(circle)}); remove one step"
            else:
                message = f"more than {_LONGEST_CHAIN} modules require one another in a row; shorten the chain"
            problems.append(FileProblem(place, message))
    return problems


def _is_long(level: set[str], modules: Mapping[str, Module]) -> bool:
    """Whether a chain of requirements from one of these has too many steps, as every circle has."""
    for _ in range(_LONGEST_CHAIN):
        level = {other for name in level if name in modules for other in modules[name].requires}
    return bool(level)


def _circle(start: str, modules: Mapping[str, Module]) -> tuple[str, ...]:
    """A path from a module back to itself; empty if there is none."""
    paths: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    while paths:
        path = paths.pop()
        for other in modules[path[-1]].requires if path[-1] in modules else ():
            if other == start:
                return (*path, start)
            if other not in seen:
                seen.add(other)
                paths.append((*path, other))
    return ()


def _plan(node: Node, modules: Mapping[str, Module]) -> PlanGrant:
    members = Members(node, "the plan's members")
    code = members.required("code", text, "starter")
    features = members.required("features", list_of(lambda item: _plan_key(item, modules)), '["module.*"]')
    title = members.get("name", text, code)
    members.done()
    assert code is not None
    assert features is not None
    return PlanGrant(code, title or code, features)


def _plan_key(node: Node, modules: Mapping[str, Module]) -> str:
    """A key of the catalog, or all of a module as ``module.*``."""
    written = text(node)
    module, _, action = written.partition(".")
    if module not in modules:
        raise Wrong.at(node.place, f"{quoted(module)} is not a known module; {hint(module, modules)}")
    if action != "*" and written not in modules[module].features:
        known = (*modules[module].features, f"{module}.*")
        raise Wrong.at(node.place, f"{quoted(written)} is not a key of {quoted(module)}; {hint(written, known)}")
    return written


def _policy(node: Node, modules: Mapping[str, Module], below: SyncPolicy) -> SyncPolicy:
    members = Members(node, "the policy's members")
    groups = {module.group for module in modules.values() if module.group is not None}
    policy = SyncPolicy(
        blocked_modules=members.get("blocked_modules", set_of(one_of(modules, "module")), below.blocked_modules),
        blocked_groups=members.get("blocked_groups", set_of(one_of(groups, "group")), below.blocked_groups),
    )
    members.done()
    return policy


def _of_record_type(name: str) -> Module:
    return Module(name, title_from(name), tuple(f"{name}.{action}" for action in RECORD_ACTIONS))
