"""Customers: contact details, status and owner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from msgspec import Struct

from crm_core.model.record_members import Custom, EmailAddress, Line, Notes, Phone, Tags
from crm_core.plugin.record_type import RecordType


class Address(Struct, forbid_unknown_fields=True):
    """A postal address; ``country`` as the customer writes it."""

    line1: Line | None = None
    line2: Line | None = None
    city: Line | None = None
    region: Line | None = None
    postal_code: Line | None = None
    country: Line | None = None


class Customer(Struct, forbid_unknown_fields=True, kw_only=True):
    """The members of a customer."""

    name: Line
    email: EmailAddress | None = None
    phone: Phone | None = None
    company: Line | None = None
    status: Literal["lead", "active", "inactive"] = "lead"
    tags: Tags = []
    address: Address | None = None
    owner: Line | None = None
    notes: Notes | None = None
    custom: Custom = {}


class Customers(RecordType):
    """People and companies."""

    NAME = "customers"
    TITLE = "Customers"
    SINGULAR = "Customer"
    RECORD = Customer
    SORTABLE = ("name", "company", "status")
    FILTERABLE = ("name", "email", "phone", "company", "status", "tags", "owner")
    SEARCHED = ("name", "email", "phone", "company")
    LABELS: ClassVar[Mapping[str, str]] = {
        "email": "Email",
        "address.line1": "Street",
        "address.line2": "Address, second line",
        "custom": "More fields",
    }
    OWNER = "owner"
    COLUMNS = ("name", "company", "email", "phone", "status", "owner", "updated_at")
