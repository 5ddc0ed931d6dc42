"""Every page of the workspace, below the tenant's address, with the permission it requires."""

from __future__ import annotations

from typing import Final

from crm_core.records.erasing import ERASE
from crm_core.web.pages import files
from crm_core.web.pages.browser import MOST_FORM
from crm_core.web.pages.figures import reports
from crm_core.web.pages.guard import OPEN, SIGNED_IN, Handler, PageRoute
from crm_core.web.pages.home import dashboard
from crm_core.web.pages.mail import settings as mail_settings
from crm_core.web.pages.records import (
    boards,
    bulk,
    choices,
    comparing,
    details,
    edits,
    erasing,
    importing,
    lists,
    one_click,
    views,
)
from crm_core.web.pages.records.import_file import MOST_BYTES
from crm_core.web.pages.sync import attempts, console, section_history
from crm_core.web.pages.users import account, invitations, signing_in, subscription, tokens, user_admin

_SEE, _CREATE, _UPDATE, _DELETE, _EXPORT = (
    f"{{module}}.{one}" for one in ("view", "create", "update", "delete", "export")
)

_MOST_IMPORT: Final = 4 * MOST_BYTES  # the file, and the rows that were refused
_WRITES: Final = (_CREATE, _UPDATE, _DELETE)


def _get(path: str, handler: Handler, key: str) -> PageRoute:
    return PageRoute(method="GET", path=path, handler=handler, key=key, writes=key in _WRITES)


def _post(path: str, handler: Handler, key: str, *, keeps: bool = False, most: int = MOST_FORM) -> PageRoute:
    return PageRoute(method="POST", path=path, handler=handler, key=key, writes=key in _WRITES, keeps=keeps, most=most)


ROUTES: Final = (
    _get("/login", signing_in.login_page, OPEN),
    _post("/login", signing_in.login, OPEN),
    _get("/forgot", signing_in.forgot_page, OPEN),
    _post("/forgot", signing_in.forgot, OPEN),
    _get("/password/{link}", signing_in.password_page, OPEN),
    _post("/password/{link}", signing_in.password, OPEN),
    _get("/settings/theme/{digest}", files.theme, OPEN),
    _get("/picture/{name}", files.picture, OPEN),
    _post("/logout", signing_in.logout, SIGNED_IN),
    _get("/", dashboard.dashboard, SIGNED_IN),
    _get("/frame", files.frame, SIGNED_IN),
    _get("/account", account.account, SIGNED_IN),
    _post("/account/appearance", account.appearance, SIGNED_IN),
    _post("/account/language", account.choose_language, SIGNED_IN),
    _post("/account/password", account.change_password, SIGNED_IN),
    _get("/subscription", subscription.subscription, SIGNED_IN),
    _get("/sync", console.console, "sync.view"),
    _post("/sync/try", console.show_request, "sync.view"),
    _get("/sync/log.csv", console.export_log, "sync.view"),
    _get("/sync/attempts/{id}", attempts.attempt, "sync.view"),
    _get("/sync/sections/{section}", section_history.section, "sync.view"),
    _post("/sync/sections/{section}/preview", section_history.preview_restore, "sync.restore"),
    _post("/sync/sections/{section}/restore", section_history.restore, "sync.restore"),
    _get("/mail", mail_settings.mail, "smtp.test"),
    _post("/mail/test", mail_settings.send_test, "smtp.test"),
    _get("/users", user_admin.users, "users.manage"),
    _get("/users/invite", invitations.invite_form, "users.manage"),
    _post("/users/invite", invitations.invite, "users.manage"),
    _get("/users/{id}", user_admin.users, "users.manage"),
    _post("/users/{id}/role", user_admin.set_role, "users.manage"),
    _post("/users/{id}/assignment", user_admin.set_assignment, "users.manage"),
    _post("/users/{id}/reset", invitations.send_link, "users.manage"),
    _post("/users/{id}/disabled", user_admin.set_disabled, "users.manage"),
    _get("/tokens", tokens.tokens, "users.manage"),
    _post("/tokens", tokens.create, "users.manage"),
    _post("/tokens/{id}/revoke", tokens.revoke, "users.manage"),
    _get("/reports", reports.reports, "reports.view"),
    _get("/reports/export.csv", reports.exported, "reports.export"),
    _get("/{module}", lists.listed, _SEE),
    _get("/{module}/export.csv", lists.exported, _EXPORT),
    _get("/{module}/board", boards.board, _SEE),
    _get("/{module}/reading", choices.reading, _SEE),
    _get("/{module}/choices", choices.choices, _SEE),
    _post("/{module}/bulk", bulk.asking, _UPDATE),
    _post("/{module}/bulk/set", bulk.set_many, _UPDATE),
    _post("/{module}/bulk/undo", bulk.undo_many, _UPDATE),
    _post("/{module}/bulk/archive", bulk.archive_many, _DELETE),
    _post("/{module}/bulk/restore", bulk.restore_many, _DELETE),
    _post("/{module}/columns", views.choose_columns, _SEE),
    _post("/{module}/views", views.save, _SEE),
    _post("/{module}/views/remove", views.remove, _SEE),
    _get("/{module}/import", importing.choosing, _CREATE),
    _post("/{module}/import", importing.previewing, _CREATE, most=_MOST_IMPORT),
    _post("/{module}/import/run", importing.importing, _CREATE, most=_MOST_IMPORT),
    _post("/{module}/import/failed", importing.failed, _CREATE, most=_MOST_IMPORT),
    _post("/{module}/quick", choices.created_quickly, _CREATE),
    _get("/{module}/new", edits.creating, _CREATE),
    _post("/{module}/new", edits.created, _CREATE, keeps=True),
    _get("/{module}/{id}", details.detail, _SEE),
    _get("/{module}/{id}/edit", edits.editing, _UPDATE),
    _post("/{module}/{id}/edit", edits.edited, _UPDATE, keeps=True),
    _post("/{module}/{id}/undo", one_click.undo, _UPDATE),
    _post("/{module}/{id}/archive", one_click.archive, _DELETE),
    _post("/{module}/{id}/restore", one_click.restore, _DELETE),
    _get("/{module}/{id}/erase", erasing.asking, ERASE),
    _post("/{module}/{id}/erase", erasing.erased, ERASE),
    _post("/{module}/{id}/set", one_click.set_one, _UPDATE),
    _get("/{module}/{id}/compare/{other}", comparing.comparison, _SEE),
    _post("/{module}/{id}/distinct", comparing.remember_distinct, _UPDATE),
    _post("/{module}/{id}/distinct/remove", comparing.forget_distinct, _UPDATE),
)
