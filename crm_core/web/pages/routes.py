"""Every page of the workspace, below the tenant's address, with the permission it asks for."""

from __future__ import annotations

from typing import Final

from crm_core.web.pages import (
    accounts,
    boards,
    dashboards,
    details,
    edits,
    entrances,
    files,
    lists,
    single,
    subscriptions,
)
from crm_core.web.pages.guard import OPEN, SIGNED_IN, PageRoute, View

_SEE, _CREATE, _UPDATE, _EXPORT = "{module}.view", "{module}.create", "{module}.update", "{module}.export"


def _get(path: str, name: str, view: View, key: str) -> PageRoute:
    return PageRoute(method="GET", path=path, name=name, view=view, key=key)


def _post(path: str, name: str, view: View, key: str) -> PageRoute:
    return PageRoute(method="POST", path=path, name=name, view=view, key=key, writes=key in (_CREATE, _UPDATE))


ROUTES: Final = (
    _get("/login", "login_page", entrances.login_page, OPEN),
    _post("/login", "login_form", entrances.login, OPEN),
    _get("/forgot", "forgot_page", entrances.forgot_page, OPEN),
    _post("/forgot", "forgot_form", entrances.forgot, OPEN),
    _get("/password/{link}", "password_page", entrances.password_page, OPEN),
    _post("/password/{link}", "password_form", entrances.password, OPEN),
    _get("/theme-{revision}.css", "theme", files.theme, OPEN),
    _get("/picture/{name}", "picture", files.picture, OPEN),
    _post("/logout", "logout_form", entrances.logout, SIGNED_IN),
    _get("/", "dashboard_page", dashboards.dashboard, SIGNED_IN),
    _get("/frame", "frame", files.frame, SIGNED_IN),
    _get("/account", "account_page", accounts.account, SIGNED_IN),
    _post("/account/appearance", "appearance_form", accounts.appearance, SIGNED_IN),
    _post("/account/password", "change_password_form", accounts.change_password, SIGNED_IN),
    _get("/subscription", "subscription_page", subscriptions.subscription, SIGNED_IN),
    _get("/{module}", "module_page", lists.listed, _SEE),
    _get("/{module}/export.csv", "module_export", lists.exported, _EXPORT),
    _get("/{module}/board", "module_board", boards.board, _SEE),
    _get("/{module}/new", "record_new_page", edits.creating, _CREATE),
    _post("/{module}/new", "record_new_form", edits.created, _CREATE),
    _get("/{module}/{id}", "record_page", details.detail, _SEE),
    _get("/{module}/{id}/edit", "record_edit_page", edits.editing, _UPDATE),
    _post("/{module}/{id}/edit", "record_edit_form", edits.edited, _UPDATE),
    _post("/{module}/{id}/set", "record_set_form", single.set_one, _UPDATE),
)
