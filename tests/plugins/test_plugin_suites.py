from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
import pytest

from crm_branding.payload import BrandingType
from crm_core.errors import Finding
from crm_core.plugin.payload import PayloadContext, PayloadType, secret
from crm_core.testing.payload import PayloadTypeSuite
from crm_features.payload import FeaturesType
from crm_smtp.payload import SmtpType
from crm_workspace.payload import WorkspaceType


class TestFeatures(PayloadTypeSuite):
    payload_type_class = FeaturesType
    valid = {  # noqa: RUF012 -- a constant of the suite
        "plan": {"code": "pro", "features": ["customers.*", "deals.view"]},
        "overrides": {"deals.export": True},
        "modules": {"deals": {"enabled": True, "order": 3}},
        "roles": {"agent": {"grant": ["*.view"], "deny": ["deals.export"]}},
        "limits": {"customers": 10},
        "subscription": {"state": "trial", "ends_at": "2027-01-31T00:00:00Z"},
    }


class TestBranding(PayloadTypeSuite):
    payload_type_class = BrandingType
    valid = {  # noqa: RUF012 -- a constant of the suite
        "title": "Nordwind",
        "logo_url": "https://example.com/logo.png",
        "colors": {"primary": "#0b5cad", "background": "#ffffff"},
        "footer": {"links": [{"label": "Help", "url": "https://example.com"}]},
        "support": {"email": "help@example.com"},
    }


class TestSmtp(PayloadTypeSuite):
    payload_type_class = SmtpType
    valid = {  # noqa: RUF012 -- a constant of the suite
        "host": "smtp.example.com",
        "port": 587,
        "security": "starttls",
        "username": "mailer",
        "password": "not-a-real-password",
        "from_email": "crm@example.com",
    }


class TestWorkspace(PayloadTypeSuite):
    payload_type_class = WorkspaceType
    valid = {  # noqa: RUF012 -- a constant of the suite
        "locale": "en-GB",
        "timezone": "Europe/Berlin",
        "currency": "EUR",
        "business_hours": {"monday": [{"from": "09:00", "to": "17:00"}]},
    }


class LeakySection(msgspec.Struct):
    key: Annotated[str, secret(bound_to=("host",))] | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET


class Leaky(PayloadType):
    """Reveals its secret, raises on absent members, accepts unknown ones, and refuses its valid part."""

    NAME = "leaky"
    SECTION = LeakySection

    def validate(self, part: Any, context: PayloadContext) -> Iterable[Finding]:
        yield Finding("name", "No", f"{part.name.title()}: the key {part.key} is no good")

    def modules(self, part: Any) -> Iterable[tuple[str, str]]:
        return [("/name", "deals")]


@pytest.mark.parametrize(
    "case",
    [
        "the_valid_part_is_accepted",
        "every_member_may_be_left_out",
        "unknown_members_are_refused_at_any_depth",
        "no_finding_reveals_a_secret",
        "secrets_are_bound_to_existing_members",
        "modules_have_pointers_to_their_names",
    ],
)
def test_the_suite_fails_on_a_type_that_breaks_its_promises(case: str) -> None:
    """A careless payload type fails each case that it breaks."""

    class Suite(PayloadTypeSuite):
        payload_type_class = Leaky
        valid = {"key": "hunter2", "name": "x"}  # noqa: RUF012 -- a constant of the suite

    with pytest.raises((AssertionError, AttributeError)) as failed:
        getattr(Suite(), f"test_{case}")()
    assert failed.value.__notes__[0].startswith("Expected: "), "a failed case shows the promise that was broken"
