"""Mail through a tenant's own server: letters in the tenant's brand, delivery step by step, and what went wrong.

``server`` is the server as synced, ``letters`` writes, ``mailer`` delivers: by ``resolve`` to checked addresses only,
and by ``delivery`` in the server's own language. Nothing here is kept: a letter that cannot be delivered is told to
whoever sends it.
"""

from __future__ import annotations

from crm_core.mail.emails import Email, MailBrand, invitation, reset, trial, written
from crm_core.mail.mailer import Mailer
from crm_core.mail.server import MailServer, Step, mail_server
from crm_core.mail.trouble import Kind, MailTrouble

__all__ = [
    "Email",
    "Kind",
    "MailBrand",
    "MailServer",
    "MailTrouble",
    "Mailer",
    "Step",
    "invitation",
    "mail_server",
    "reset",
    "trial",
    "written",
]
