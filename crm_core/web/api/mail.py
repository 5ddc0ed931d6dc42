"""The route of the test mail: to the signed-in user's own address, through the tenant's own server."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from quart import Response

from crm_core.errors import (
    CsrfFailed,
    InsufficientScope,
    PermissionDenied,
    StorageUnavailable,
    Unauthenticated,
    UnknownParameter,
)
from crm_core.mail import DeliveryError, Step, delivery_test
from crm_core.services import Services
from crm_core.web.answers import answer
from crm_core.web.callers import caller_of
from crm_core.web.operations import BASE, Operation, Reply
from crm_core.web.pages.mail.sender import sender_of
from crm_core.web.pages.site import Site
from crm_core.web.reading import parameters
from crm_core.workspace import require_scope

KEY: Final = "smtp.test"


class Trouble(msgspec.Struct, frozen=True):
    """Why the letter was not delivered: what it is, what to look at, and the server's own words."""

    kind: str
    what: str
    mend: str
    said: str


class TestMail(msgspec.Struct, frozen=True):
    """How a test mail went; ``steps`` are those that were done."""

    delivered: bool
    to: Annotated[str, msgspec.Meta(description="the signed-in user's own address")]
    steps: list[Literal["found", "connected", "encrypted", "signed_in", "accepted"]]
    trouble: Trouble | None


def operations(services: Services, site: Site) -> list[Operation]:
    """The one operation of mail."""

    async def test_mail(tenant: str) -> Response:
        parameters(())
        caller = await caller_of(services, tenant)
        workspace = await services.views.of(tenant)
        require_scope(workspace, caller, scope=None, key=KEY)
        sender, steps = sender_of(site, workspace), list[Step]()
        try:
            async for step in sender.steps(delivery_test(sender.brand, caller.name), caller.email):
                steps.append(step)
        except DeliveryError as trouble:
            told = Trouble(trouble.kind, trouble.what, trouble.fix, trouble.response)
            return answer(TestMail(delivered=False, to=caller.email, steps=steps, trouble=told))
        return answer(TestMail(delivered=True, to=caller.email, steps=steps, trouble=None))

    return [
        Operation(
            method="POST",
            path=f"{BASE}/settings/smtp/test",
            name="test_smtp",
            summary="Send a test mail",
            description="A real letter through the tenant's own server, to the signed-in user's own address only. "
            "200 says how it went, also where it was not delivered.",
            tag="settings",
            handler=test_mail,
            key=KEY,
            replies={200: Reply(description="How it went.", schema=TestMail)},
            errors=(
                Unauthenticated,
                CsrfFailed,
                InsufficientScope,
                PermissionDenied,
                UnknownParameter,
                StorageUnavailable,
            ),
        )
    ]
