"""Every page of the workspace, below the tenant's address, with the permission it requires."""

from __future__ import annotations

from typing import Final

from crm_core.records.erasing import ERASE
from crm_core.web.pages import files
from crm_core.web.pages.browser import MOST_FORM
from crm_core.web.pages.figures import reports
from crm_core.web.pages.guard import OPEN, SIGNED_IN, PageRoute, View
from crm_core.web.pages.home import dashboard
from crm_core.web.pages.mail import settings as mail_settings
from crm_core.web.pages.records import (
    archiving,
    boards,
    bulk,
    choices,
    details,
    edits,
    erasing,
    importing,
    lists,
    quick_edit,
    typed_echo,
    undoing,
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


def _get(path: str, name: str, view: View, key: str) -> PageRoute:
    return PageRoute(method="GET", path=path, name=name, view=view, key=key, writes=key in _WRITES)


def _post(path: str, name: str, view: View, key: str, *, keeps: bool = False, most: int = MOST_FORM) -> PageRoute:
    return PageRoute(
        method="POST", path=path, name=name, view=view, key=key, writes=key in _WRITES, keeps=keeps, most=most
    )


ROUTES: Final = (
    _get("/login", "login_page", signing_in.login_page, OPEN),
    _post("/login", "login_form", signing_in.login, OPEN),
    _get("/forgot", "forgot_page", signing_in.forgot_page, OPEN),
    _post("/forgot", "forgot_form", signing_in.forgot, OPEN),
    _get("/password/{link}", "password_page", signing_in.password_page, OPEN),
    _post("/password/{link}", "password_form", signing_in.password, OPEN),
    _get("/settings/theme/{digest}", "theme", files.theme, OPEN),
    _get("/picture/{name}", "picture", files.picture, OPEN),
    _post("/logout", "logout_form", signing_in.logout, SIGNED_IN),
    _get("/", "dashboard_page", dashboard.dashboard, SIGNED_IN),
    _get("/frame", "frame", files.frame, SIGNED_IN),
    _get("/account", "account_page", account.account, SIGNED_IN),
    _post("/account/appearance", "appearance_form", account.appearance, SIGNED_IN),
    _post("/account/language", "language_form", account.choose_language, SIGNED_IN),
    _post("/account/password", "change_password_form", account.change_password, SIGNED_IN),
    _get("/subscription", "subscription_page", subscription.subscription, SIGNED_IN),
    _get("/sync", "sync_page", console.console, "sync.view"),
    _post("/sync/try", "sync_try_form", console.show_request, "sync.view"),
    _get("/sync/log.csv", "sync_log_export", console.export_log, "sync.view"),
    _get("/sync/attempts/{id}", "sync_attempt_page", attempts.attempt, "sync.view"),
    _get("/sync/sections/{section}", "sync_section_page", section_history.section, "sync.view"),
    _post("/sync/sections/{section}/preview", "sync_preview_form", section_history.preview_restore, "sync.restore"),
    _post("/sync/sections/{section}/restore", "sync_restore_form", section_history.restore, "sync.restore"),
    _get("/mail", "mail_page", mail_settings.mail, "smtp.test"),
    _post("/mail/test", "mail_test_form", mail_settings.send_test, "smtp.test"),
    _get("/users", "users_page", user_admin.users, "users.manage"),
    _get("/users/invite", "invite_page", invitations.invite_form, "users.manage"),
    _post("/users/invite", "invite_form", invitations.invite, "users.manage"),
    _get("/users/{id}", "user_page", user_admin.users, "users.manage"),
    _post("/users/{id}/role", "user_role_form", user_admin.set_role, "users.manage"),
    _post("/users/{id}/assignment", "user_assignment_form", user_admin.set_assignment, "users.manage"),
    _post("/users/{id}/reset", "user_reset_form", invitations.send_link, "users.manage"),
    _post("/users/{id}/disabled", "user_disabled_form", user_admin.set_disabled, "users.manage"),
    _get("/tokens", "tokens_page", tokens.tokens, "users.manage"),
    _post("/tokens", "token_form", tokens.create, "users.manage"),
    _post("/tokens/{id}/revoke", "token_revoke_form", tokens.revoke, "users.manage"),
    _get("/reports", "reports_page", reports.reports, "reports.view"),
    _get("/reports/export.csv", "reports_export", reports.exported, "reports.export"),
    _get("/{module}", "module_page", lists.listed, _SEE),
    _get("/{module}/export.csv", "module_export", lists.exported, _EXPORT),
    _get("/{module}/board", "module_board", boards.board, _SEE),
    _get("/{module}/reading", "record_reading", typed_echo.echo, _SEE),
    _get("/{module}/choices", "record_choices", choices.choices, _SEE),
    _post("/{module}/bulk", "bulk_page", bulk.asking, _UPDATE),
    _post("/{module}/bulk/set", "bulk_form", bulk.set_many, _UPDATE),
    _post("/{module}/bulk/undo", "bulk_undo_form", bulk.undo_many, _UPDATE),
    _post("/{module}/bulk/archive", "bulk_archive_form", bulk.archive_many, _DELETE),
    _post("/{module}/bulk/restore", "bulk_restore_form", bulk.restore_many, _DELETE),
    _post("/{module}/columns", "columns_form", views.choose_columns, _SEE),
    _post("/{module}/views", "view_form", views.save, _SEE),
    _post("/{module}/views/remove", "view_remove_form", views.remove, _SEE),
    _get("/{module}/import", "import_page", importing.choosing, _CREATE),
    _post("/{module}/import", "import_preview_form", importing.previewing, _CREATE, most=_MOST_IMPORT),
    _post("/{module}/import/run", "import_form", importing.importing, _CREATE, most=_MOST_IMPORT),
    _post("/{module}/import/failed", "import_failed_form", importing.failed, _CREATE, most=_MOST_IMPORT),
    _post("/{module}/quick", "record_quick_form", choices.created_quickly, _CREATE),
    _get("/{module}/new", "record_new_page", edits.creating, _CREATE),
    _post("/{module}/new", "record_new_form", edits.created, _CREATE, keeps=True),
    _get("/{module}/{id}", "record_page", details.detail, _SEE),
    _get("/{module}/{id}/edit", "record_edit_page", edits.editing, _UPDATE),
    _post("/{module}/{id}/edit", "record_edit_form", edits.edited, _UPDATE, keeps=True),
    _post("/{module}/{id}/undo", "record_undo_form", undoing.undo, _UPDATE),
    _post("/{module}/{id}/archive", "record_archive_form", archiving.archive, _DELETE),
    _post("/{module}/{id}/restore", "record_restore_form", archiving.restore, _DELETE),
    _get("/{module}/{id}/erase", "record_erase_page", erasing.asking, ERASE),
    _post("/{module}/{id}/erase", "record_erase_form", erasing.erased, ERASE),
    _post("/{module}/{id}/set", "record_set_form", quick_edit.set_one, _UPDATE),
)
