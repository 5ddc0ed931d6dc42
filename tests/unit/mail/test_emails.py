from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import compat32, default

import msgspec
import pytest
from jinja2 import Environment

from crm_core.language import Languages, using_language
from crm_core.mail import (
    MailBrand,
    MailServer,
    delivery_test,
    invitation,
    load_templates,
    mail_server,
    password_reset,
    to_message,
)
from crm_core.model.presentation import MailSettings

AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
BRAND = MailBrand(
    title="Nordwind & <Söhne>", primary="#0b5fff", on_primary="#ffffff", text="#111111", muted="#555555",
    background="#f6f8fb", footer="Nordwind GmbH,\nHamburg",
)  # fmt: skip
SERVER = MailServer(
    host="mail.example", port=587, security="starttls", username="u", password="secret-word",
    from_email="crm@nw.example", from_name="Nordwind, Büro", reply_to="team@nw.example", timeout=5,
)  # fmt: skip
URL = "https://crm.example/i/eu1/t/nw/password/abc.def"


def sent(message: EmailMessage) -> EmailMessage:
    """The message as its reader parses it."""
    found = message_from_bytes(message.as_bytes(), policy=default)
    assert isinstance(found, EmailMessage)
    return found


def bodies(message: EmailMessage) -> tuple[str, str]:
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


def test_internationalised_domains_are_sent_in_their_ascii_form() -> None:
    """Sender, recipient, reply address, message id and host: no server needs SMTPUTF8 for them (RFC 6531)."""
    section = {
        "host": "smtp.k\u00f6ln.example",
        "from_email": "crm@k\u00f6ln.example",
        "reply_to": "help@K\u00d6LN.example",
    }
    server = mail_server(MailSettings(**section), None)
    assert server is not None
    message = to_message(delivery_test(BRAND, "Jana"), BRAND, server, to="jana@k\u00f6ln.example", at=AT)
    assert server.host == "smtp.xn--kln-sna.example"
    headers = sent(message)
    assert "crm@xn--kln-sna.example" in headers["From"]
    assert (headers["To"], headers["Reply-To"]) == ("jana@xn--kln-sna.example", "help@xn--kln-sna.example")
    assert headers["Message-ID"].endswith("@xn--kln-sna.example>")
    assert b"k\xc3\xb6ln" not in message.as_bytes().partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize("address", ["jane..doe@docomo.example", "taro.@docomo.example", ".x@docomo.example"])
def test_an_address_with_dots_side_by_side_or_at_an_end_gets_email(address: str) -> None:
    """Some providers gave such addresses, and the form of a user takes them; the sender may have one as well."""
    section = MailSettings(host="mail.example", from_email=address, reply_to=address)
    server = mail_server(section, None)
    assert server is not None
    message = sent(to_message(delivery_test(BRAND, "Jana"), BRAND, server, to=address, at=AT))
    local, _, domain = address.partition("@")
    for header in ("From", "To", "Reply-To"):
        [found] = message[header].addresses
        assert (found.username, found.domain) == (local, domain)


@pytest.mark.parametrize(
    "name",
    [
        "Nordwind",
        "Nordwind, Büro",
        "Nordwind Touristik GmbH, Niederlassung Hamburg-Altona, Kundenservice und Vertrieb",
        "Acme Widgets International Holdings, Inc. (Customer Care, North America)",
        "A name of plain words that is much longer than a line of a header, which is folded",
        '=?utf-8?q?x?= "quoted" <someone@else.example>, ' + "x" * 60,
        "日本語の会社名、" * 12,
    ],
)
def test_the_sender_s_name_is_one_name(name: str) -> None:
    """However long it is and whichever signs it has, it is decoded to itself, and names no other sender."""
    server = msgspec.structs.replace(SERVER, from_name=name)
    raw = to_message(delivery_test(BRAND, "Jana"), BRAND, server, to="jana@nw.example", at=AT).as_bytes()
    head = raw.partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78
    [sender] = message_from_bytes(raw, policy=default)["From"].addresses
    assert sender.addr_spec == "crm@nw.example"
    # the parser of this policy puts a space between encoded words
    written = str(make_header(decode_header(message_from_bytes(raw, policy=compat32)["From"])))
    assert "".join(written.split()) == "".join(f"{name} <crm@nw.example>".split())


INJECTION = "=?utf-8?q?=0D=0ABcc=3A_thief=40else.example?="


@pytest.mark.parametrize("folded", ["", "x" * 70])
def test_no_encoded_word_of_a_name_or_address_is_decoded(folded: str) -> None:
    """Decoded, it would begin another header: it is text in a subject and a sender's name, and an odd local part."""
    title, to = f"{INJECTION} {folded}", f"{INJECTION}@{folded or 'x'}.example"
    brand = MailBrand(
        title=title, primary="#0b5fff", on_primary="#ffffff", text="#111111", muted="#555555", background="#f6f8fb"
    )
    server = msgspec.structs.replace(SERVER, from_name=None)
    email = invitation(brand, name="Inga", by=INJECTION, url=URL, days=7)
    raw = to_message(email, brand, server, to=to, at=AT).as_bytes()
    head = raw.partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0].decode() for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
    expected = ["Subject", "From", "To", "Reply-To", "Date", "Message-ID", "Auto-Submitted"]
    assert names == [*expected, "MIME-Version", "Content-Type"]
    assert f"\r\nTo: {to}\r\n".encode() in raw
    subject = str(make_header(decode_header(message_from_bytes(raw, policy=compat32)["Subject"])))
    assert subject == f"{INJECTION} invites you to {title}".strip()


def test_loaded_templates_are_compiled_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """An email needs no compiler, which would occupy the event loop, once the templates are loaded."""
    load_templates()
    monkeypatch.delattr(Environment, "compile")
    assert bodies(to_message(delivery_test(BRAND, "Jana"), BRAND, SERVER, to="jana@nw.example", at=AT))


def test_headers_are_the_tenants_own() -> None:
    """Sender, name and reply address come from the section, with any characters."""
    message = sent(to_message(delivery_test(BRAND, "Jana"), BRAND, SERVER, to="jana@nw.example", at=AT))
    assert message["From"] == '"Nordwind, Büro" <crm@nw.example>'
    assert (message["To"], message["Reply-To"]) == ("jana@nw.example", "team@nw.example")
    assert message["Subject"] == "Test email from Nordwind & <Söhne>"
    assert message["Auto-Submitted"] == "auto-generated"


def test_invitation_says_it_twice() -> None:
    """The link is in the text and in the HTML, and names and titles are text there, never markup."""
    email = invitation(BRAND, name="<b>Inga</b>", by="Jana", url=URL, days=7)
    plain, html = bodies(sent(to_message(email, BRAND, SERVER, to="inga@nw.example", at=AT)))
    assert URL in plain
    assert f'href="{URL}"' in html
    assert "<b>Inga" not in html
    assert "&lt;b&gt;Inga" in html
    assert "Nordwind &amp; &lt;Söhne&gt;" in html
    assert "7 days" in plain


def test_reset_wears_the_brand() -> None:
    """The HTML has the brand's colours; the text has its footer."""
    plain, html = bodies(
        sent(to_message(password_reset(BRAND, name="Inga", url=URL, hours=2), BRAND, SERVER, to="i@nw.example", at=AT))
    )
    assert "#0b5fff" in html
    assert "Nordwind GmbH,\nHamburg" in plain.replace("\r\n", "\n")
    assert "secret-word" not in plain + html


@pytest.mark.parametrize("bad", ["Evil\r\nBcc: all@nw.example", "Evil\nSubject: other", "Evil\u2028X"])
def test_no_value_begins_another_header(bad: str) -> None:
    """A line break in a name or title stays inside its header."""
    brand = MailBrand(
        title=bad, primary="#000000", on_primary="#ffffff", text="#000000", muted="#555555", background="#ffffff"
    )
    message = sent(
        to_message(invitation(brand, name=bad, by=bad, url=URL, days=7), brand, SERVER, to="i@nw.example", at=AT)
    )
    assert message["Bcc"] is None
    assert len(message.get_all("Subject", [])) == 1


@pytest.mark.parametrize(
    ("section", "port", "sender"),
    [
        ({"host": "m.example", "from_email": "a@b.example"}, 587, "a@b.example"),
        ({"host": "m.example", "security": "tls", "username": "u@b.example"}, 465, "u@b.example"),
        ({"host": "m.example", "port": 2525, "security": "none", "from_email": "a@b.example"}, 2525, "a@b.example"),
    ],
)
def test_server_of_a_section(section: dict[str, object], port: int, sender: str) -> None:
    """The port defaults to that of the encryption, the sender to the user name."""
    server = mail_server(MailSettings(**section), None)
    assert server is not None
    assert (server.port, server.from_email) == (port, sender)


@pytest.mark.parametrize(
    "section", [{}, {"host": "m.example"}, {"from_email": "a@b.example"}, {"host": "m", "username": "u"}]
)
def test_no_server_without_host_and_sender(section: dict[str, object]) -> None:
    """Without a host or a sender there is no server."""
    assert mail_server(MailSettings(**section), None) is None


def test_the_password_is_in_no_repr() -> None:
    """The repr of a server, as in a trace, has no password."""
    assert "secret-word" not in repr(SERVER)


def test_an_email_is_written_in_the_current_language() -> None:
    """Subject, text and HTML of an invitation are German for a German recipient, and HTML says so."""
    with using_language(Languages().by_tag["de"]):
        email = invitation(BRAND, name="Ada", by="Grace", url=URL, days=7)
        message = sent(to_message(email, BRAND, SERVER, to="ada@example.com", at=AT))
    assert message["Subject"] == f"Grace lädt Sie zu {BRAND.title} ein"
    plain, html = bodies(message)
    assert "Der Link gilt 7 Tage und nur einmal." in plain
    assert '<html lang="de">' in html
    assert f"Oder öffnen Sie diese Adresse: {URL}" in html
