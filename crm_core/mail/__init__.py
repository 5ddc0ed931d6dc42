"""Email through a tenant's own server: messages in the tenant's brand, delivery step by step, and its errors.

``server`` has the synced settings, ``emails`` writes messages, ``mailer`` delivers them: ``resolve`` finds checked
addresses, ``delivery`` is the SMTP conversation. Nothing is queued: a failed delivery is an error for the sender.
"""

from __future__ import annotations

from crm_core.mail.emails import Email, MailBrand, delivery_test, invitation, load_templates, password_reset, to_message
from crm_core.mail.errors import DeliveryError, FailureKind
from crm_core.mail.mailer import Mailer
from crm_core.mail.resolve import full_host_name
from crm_core.mail.server import MailServer, Step, mail_server

__all__ = [
    "DeliveryError",
    "Email",
    "FailureKind",
    "MailBrand",
    "MailServer",
    "Mailer",
    "Step",
    "delivery_test",
    "full_host_name",
    "invitation",
    "load_templates",
    "mail_server",
    "password_reset",
    "to_message",
]
