"""The route of the test email: to the signed-in user's own address, through the tenant's own server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Final, Literal, Protocol

import msgspec

from crm_core.language import using_language
from crm_core.mail import DeliveryError, Email, MailBrand, Step, delivery_test
from crm_core.services import Services
from crm_core.web.answers import Answer, answer
from crm_core.web.operations import BASE, Operation, Reply, Route
from crm_core.web.request import Request
from crm_core.workspace import Workspace


class Trouble(msgspec.Struct, frozen=True):
    """Why the email was not delivered, how to fix it, and the response of the mail server."""

    kind: str
    what: str
    fix: str = msgspec.field(name="mend")
    response: str = msgspec.field(name="said")


class TestMail(msgspec.Struct, frozen=True):
    """The outcome of a test email; ``steps`` are the completed ones."""

    delivered: bool
    to: Annotated[str, msgspec.Meta(description="the signed-in user's own address")]
    steps: list[Literal["found", "connected", "encrypted", "signed_in", "accepted"]]
    trouble: Trouble | None


class Sender(Protocol):
    """Sends emails of one workspace."""

    @property
    def brand(self) -> MailBrand:
        """How its emails look."""

    def steps(self, email: Email, to: str) -> AsyncIterator[Step]:
        """Send an email; the steps as they are done. Raises DeliveryError."""


TEST_MAIL: Final = Operation(
    method="POST",
    path=f"{BASE}/settings/smtp/test",
    name="test_smtp",
    summary="Send a test email",
    description="A real email through the tenant's own server, to the signed-in user's own address only. "
    "The answer is 200 even if it was not delivered, and says how it went.",
    tag="settings",
    key="smtp.test",
    replies={200: Reply(description="How it went.", schema=TestMail)},
)


def routes(services: Services, sender_of: Callable[[Workspace], Awaitable[Sender]]) -> list[Route]:
    """The one operation of mail."""

    async def test_mail(request: Request) -> Answer:
        caller = request.caller
        workspace = await services.views.of(request.tenant)
        sender, steps = await sender_of(workspace), list[Step]()
        try:
            with using_language(services.languages.choose((caller.language, workspace.regional.locale))):
                email = delivery_test(sender.brand, caller.name)
                async for step in sender.steps(email, caller.email):
                    steps.append(step)
        except DeliveryError as error:
            trouble = Trouble(error.kind, error.what, error.fix, error.response)
            return answer(TestMail(delivered=False, to=caller.email, steps=steps, trouble=trouble))
        return answer(TestMail(delivered=True, to=caller.email, steps=steps, trouble=None))

    return [Route(TEST_MAIL, test_mail)]
