from __future__ import annotations

import html
import re

import httpx

from contract.box import TENANT, Box
from visitor import EVERYTHING, PASSWORD, Visitor

ADA = {"name": "Ada Lovelace", "email": "ada@engines.example", "phone": "+44 20 7946 0000"}


def test_archiving_is_undone_with_one_click(grace: Visitor) -> None:
    """An archived customer leaves the list, its page says so and offers to restore; the confirmation has Undo."""
    path = grace.customer(name="Boats & Oars")
    page = grace.post(path, f"{path}/archive", revision="1")
    assert "Boats &amp; Oars archived" in page
    assert f'action="{grace.root}{path}/restore"' in page
    assert path not in page.split('data-live="rows"')[1].split("</section>")[0]
    assert path in grace.get("/customers?archived=true")
    archived = grace.get(path)
    assert "This record is archived." in archived
    assert "<b>You</b> archived it" in archived
    assert "/edit" not in archived.split("<main")[1]
    assert "Boats &amp; Oars restored" in grace.post(path, f"{path}/restore")
    assert path in grace.get("/customers")


def test_a_page_that_is_out_of_date_archives_nothing(grace: Visitor) -> None:
    """A customer whom someone changed in the meantime is not archived by an older page; a link leads back."""
    path = grace.customer(name="Slow Boats")
    refused = grace.post(path, f"{path}/archive", 412, revision="7")
    assert f'href="{grace.root}{path}">Look at it again</a>' in refused
    assert "Someone else changed this record, so nothing was changed now." in refused
    assert "This record is archived." not in grace.get(path)


def test_a_double_is_pointed_out_before_it_is_saved(grace: Visitor) -> None:
    """The same email, or the same name and phone, is shown with a link; saving anyway is one more click."""
    path = grace.customer(**ADA)
    form = "/customers/new"
    for double in ({"name": "A. L.", "email": "ADA@engines.example"}, {"name": "ada lovelace", "phone": "02079460000"}):
        page = grace.post(form, form, 422, **double)
        assert "Ada Lovelace may be the same customer." in page
        assert f'href="{grace.root}{path}"' in page
        assert f'value="{double["name"]}"' in page
    grace.customer(name="Ada King", phone=ADA["phone"])  # another name is another person
    assert "Customer created" in grace.post(form, form, **ADA, **{"form:anyway": "true"})


def test_a_form_of_a_new_record_that_is_sent_again_creates_no_other(box: Box, grace: Visitor) -> None:
    """A reload after a lost answer shows the record; other input of the page, and another page, create another one."""
    form = "/customers/new"

    def page_of() -> dict[str, str]:
        once = re.findall(r'name="form:once" value="([^"]+)"', grace.get(form))[0]
        return {"csrf": grace.csrf(form), "form:once": once, "name": "Once Boats", "email": "once@boats.example"}

    first = page_of()
    made = [grace.send(form, first) for _ in range(3)]
    assert len({str(answer.url) for answer in made}) == 1
    assert "Customer created" in made[-1].text
    assert "may be the same customer" in grace.send(form, page_of()).text
    assert grace.send(form, {**first, "name": "Twice Boats", "email": ""}).url != made[0].url
    full = {**EVERYTHING, "limits": {"customers": 0}}
    refused = {**page_of(), "email": ""}
    try:
        box.applied("features", full)
        for _ in range(2):
            answer = grace.send(form, refused)
            assert (answer.status_code, 'value="Once Boats"' in answer.text) == (403, True)
    finally:
        box.applied("features", EVERYTHING)
    again = re.findall(r'name="form:once" value="([^"]+)"', answer.text)[0]
    assert "Customer created" in grace.send(form, {**refused, "form:once": again}).text


def test_who_may_create_and_not_view_comes_to_the_dashboard(box: Box, grace: Visitor) -> None:
    """No one is asked whether the record doubles one that they may not see, nor led to a page that refuses them."""
    form = {"csrf": grace.csrf("/account"), "name": "Unseen", "email": "unseen@engines.example"}
    try:
        box.applied("features", {**EVERYTHING, "roles": {"manager": {"deny": ["customers.view"]}}})
        for _ in range(2):
            answer = grace.send("/customers/new", form)
            assert (answer.status_code, "Customer created" in answer.text) == (200, True)
            assert str(answer.url).endswith(f"{grace.root}/")
    finally:
        box.applied("features", EVERYTHING)


def test_the_timeline_shows_what_changed_and_undoes_it(grace: Visitor, alan: Visitor) -> None:
    """A change has its author and each field from and to; Undo sets the newest one back as another change."""
    path = grace.customer(name="Timely Boats", phone="111")
    form = {"revision": "1", "name": "Timely Boats", "phone": "222", "company": "Oars"}
    alan.post(f"{path}/edit", f"{path}/edit", **form)
    page = grace.get(path)
    assert "<b>Alan Turing</b> changed" in page
    assert re.search(r"Phone:</span> <del[^>]*><span[^>]*>from </span>111</del>.*?to </span>222</ins>", page)
    assert re.search(r"Company:</span> <ins[^>]*><span[^>]*>to </span>Oars</ins>", page)
    assert "You undid the change by Alan Turing" in grace.post(path, f"{path}/undo", revision="2")
    page = grace.get(path)
    assert 'data-revision="3"' in page
    assert 'href="tel:111"' in page
    grace.post(path, f"{path}/undo", 412, revision="2")


def test_a_note_is_added_to_the_timeline(grace: Visitor) -> None:
    """The composer adds a note, call or meeting with its time, and comes back to the record."""
    path = grace.customer(name="Noted Boats")
    note = {"kind": "call", "text": "Wants three boats.\nBy May.", "at": "24 Nov 2026 14:30"}
    fields = {**note, "customer_id": path.rsplit("/", 1)[1], "owner": "manager@engines.example"}
    page = grace.post(path, "/activities/new", **fields, **{"form:back": grace.root + path})
    assert re.search(r"<b>You</b> added: <a[^>]*>call</a>", page)
    assert "Wants three boats." in page
    assert "Call added" in page.split('<div class="toasts"')[1]
    assert "Tuesday, 24 November 2026" in page
    assert f"/tasks/new?customer_id={fields['customer_id']}&amp;" in page.split('<div class="toasts"')[1]
    assert re.search(r'<span class="avatar sm" aria-hidden="true">GH</span><div>You ', grace.get("/"))
    grace.post(path, "/activities/new", **fields, **{"form:back": f"{grace.root}/\r\nX-Evil: yes"})  # the dashboard
    elsewhere = grace.post(path, "/activities/new", **fields, **{"form:back": "https://elsewhere.example/"})
    assert 'data-records="activities"' in elsewhere


def test_the_timeline_is_narrowed_and_goes_back_in_parts(box: Box, grace: Visitor) -> None:
    """A kind shows only its entries; 30 are a part, and the next one begins where it ended; a deal shows its moves."""
    path = grace.customer(name="Talkative Boats")
    customer = path.rpartition("/")[2]
    token = box.bearer("activities:write", "deals:write")
    api = f"/i/eu1/t/{TENANT}/api/v1"
    notes = [
        {"text": f"Note {number:02}", "at": f"2026-10-{1 + number // 2:02}T{8 + number % 2:02}:00:00Z"}
        for number in range(40)
    ]
    items = [{**note, "customer_id": customer} for note in notes]
    box.client.post(f"{api}/activities/batch", json={"items": items}, headers=token).raise_for_status()
    deal = {"name": "Ten boats", "customer_id": customer}
    for stage in ("new", "won"):
        box.client.put(f"{api}/deals/external/talk", json={**deal, "stage": stage}, headers=token).raise_for_status()
    page = grace.get(path)
    assert re.search(r"moved <a[^>]*>Ten boats</a>.*?from </span>New</del>.*?to </span>Won</ins>", page, re.DOTALL)
    assert "Note 39" in page
    assert "added" in page
    said = grace.get(f"{path}?show=said")
    assert re.findall(r">(Note \d\d)</p>", said) == [f"Note {number:02}" for number in range(39, 9, -1)]
    assert "moved" not in said.split('data-live="timeline"')[1]
    older = re.findall(r'href="([^"]+)" data-older', said)[0].replace("&amp;", "&").removeprefix(grace.root)
    rest = grace.get(older)
    assert re.findall(r">(Note \d\d)</p>", rest) == [f"Note {number:02}" for number in range(9, -1, -1)]
    assert "data-older" not in rest
    assert "Nothing of this kind yet" in grace.get(f"{path}?show=done")
    changes = grace.get(f"{path}?show=changed&before=nonsense")
    assert "<b>You</b> created it" in changes
    assert "Note 39" not in changes


def test_open_deals_are_counted_and_added_up(grace: Visitor) -> None:
    """A customer's page has a sum for each currency, those that close first come first, and closed ones are a line."""
    path = grace.customer(name="Buying Boats")
    back = {"customer_id": path.rpartition("/")[2], "form:back": grace.root + path}
    for name, amount, stage, day in (
        ("Later", "EUR 1500", "new", "2099-05-01"),
        ("Sooner", "USD 700", "proposal", "2099-03-01"),
        ("Also", "EUR 500", "new", ""),
        ("Bought", "EUR 8000", "won", "2025-01-01"),
    ):
        grace.post("/deals/new", "/deals/new", name=name, amount=amount, stage=stage, closes_on=day, **back)
    open_deals = grace.get(path).split("Open deals")[1].split("</section>")[0]
    assert re.findall(r'<span class="nowrap">([^<]+)<', open_deals) == ["3", "€2,000", "$700"]
    assert re.findall(r">(Later|Sooner|Also|Bought)</a>", open_deals) == ["Sooner", "Later", "Also"]
    assert "1 closed · €8,000" in open_deals
    assert f'href="{grace.root}/deals/new?customer_id={back["customer_id"]}&amp;form%3Aback=' in open_deals


def test_mine_is_one_click(grace: Visitor, alan: Visitor) -> None:
    """A button of the list shows the records of the user, and the filter shows the colleague's name."""
    path = grace.customer(name="Owned by Alan", owner="agent@engines.example")
    listed = alan.get("/customers")
    href = re.findall(r'<a class="btn toggle" href="([^"]+)">', listed)[0].replace("&amp;", "&").removeprefix(alan.root)
    mine = alan.get(href)
    assert path in mine
    assert "Owner: Alan Turing" in mine
    assert "Slow Boats" not in mine


def test_a_typed_owner_is_found_by_name_without_script(grace: Visitor) -> None:
    """The text of the filter becomes the colleague whom it finds."""
    grace.customer(name="Also Alan's", owner="agent@engines.example")
    page = grace.get("/customers?owner=&owner:text=turing")
    assert "Owner: Alan Turing" in page
    assert "Also Alan" in page


def test_namesakes_differ_without_script_too(grace: Visitor) -> None:
    """Find lists what distinguishes them; a text that finds nothing is an error of its field."""
    for city in ("kiel", "mainz"):
        grace.customer(name="Namesake Rowing", email=f"{city}@namesake.example")
    fields = {"name": "Trip", "form:find": "customer_id"}
    page = grace.post("/deals/new", "/deals/new", **fields, **{"customer_id:text": "namesake"})
    assert "Namesake Rowing · kiel@namesake.example" in page
    assert "Namesake Rowing · mainz@namesake.example" in page
    missed = grace.post("/deals/new", "/deals/new", **fields, **{"customer_id:text": "qqq"})
    assert "Nothing matches “qqq”. Enter another text." in missed
    assert 'aria-invalid="true"' in missed


def test_choices_are_found_by_any_word(grace: Visitor) -> None:
    """The picker's matches have the name and what distinguishes namesakes; me comes first among people."""
    grace.customer(name="Zephyr Sails", email="z@sails.example")
    found = grace.client.get(f"{grace.root}/deals/choices?field=customer_id&q=sails").json()
    assert [one["text"] for one in found["items"]] == ["Zephyr Sails"]
    assert (found["items"][0]["about"], found["create"], found["more"]) == ("z@sails.example", "customer", 0)
    people = grace.client.get(f"{grace.root}/deals/choices?field=owner&q=").json()["items"]
    assert [one["label"] for one in people] == ["Me (Grace Hopper)", "Alan Turing", "Ida Rhodes"]
    assert grace.client.get(f"{grace.root}/deals/choices?field=amount").status_code == 404


def fields_of(page: str) -> dict[str, str]:
    """The fields that a refusal's page would send again."""
    form = page.split("data-unsaved")[1].split("</form>", maxsplit=1)[0]
    return {name: html.unescape(value) for name, value in re.findall(r'name="([^"]+)" value="([^"]*)"', form)}


def test_a_refused_save_loses_nothing(box: Box, grace: Visitor) -> None:
    """Without right or module, and with an expired form, the input comes back and is saved once that is over."""
    path = grace.customer(name="Lasting")
    typed = {"revision": "1", "name": "Lasting & more", "notes": "Line one\nLine two", "status": "inactive"}
    denied = {**EVERYTHING, "roles": {"manager": {"deny": ["customers.update"]}}}
    gone = {**EVERYTHING, "modules": {"customers": {"enabled": False}}}
    suspended = {**EVERYTHING, "subscription": {"state": "suspended"}}
    form = grace.csrf(f"{path}/edit")
    try:
        for features, code in (
            (denied, "permission_denied"),
            (gone, "module_unavailable"),
            (suspended, "subscription_suspended"),
        ):
            box.applied("features", features)
            answer = grace.send(f"{path}/edit", {**typed, "csrf": form})
            assert (answer.status_code, f"<code>{code}</code>" in answer.text) == (403, True)
            again = fields_of(answer.text)
            assert {name: again[name] for name in typed} == typed
            assert "Lasting &amp; more" in answer.text.split("<dl")[1]
            assert ">Inactive</dd>" in answer.text
    finally:
        box.applied("features", EVERYTHING)
    expired = grace.send(f"{path}/edit", {**typed, "csrf": "old"})
    assert "Save again" in expired.text
    foreign = grace.send(f"{path}/edit", {**typed, "csrf": "old"}, origin="https://elsewhere.example")
    assert (foreign.status_code, "Save again" in foreign.text) == (403, False)
    assert "Lasting &amp; more" in grace.send(f"{path}/edit", fields_of(expired.text)).text


def test_an_ended_session_loses_nothing(box: Box, grace: Visitor) -> None:
    """A form that is sent signed out comes back with its input; after signing in it is saved."""
    other = Visitor(box, "agent")
    path = grace.customer(name="Patient")
    typed = {"revision": "1", "name": "Patient one", "csrf": other.csrf(f"{path}/edit")}
    other.post(path, "/logout")
    answer = other.send(f"{path}/edit", typed)
    assert answer.status_code == 401
    assert "You are signed out" in answer.text
    again = fields_of(answer.text)
    assert (again["name"], again["csrf"]) == ("Patient one", "")
    nothing = other.send(f"{path}/edit", {"csrf": "", "revision": "1"})
    assert (nothing.url.path.endswith("/login"), "Nothing was changed. Sign in, then try again." in nothing.text) == (
        True,
        True,
    )
    parts = {name: (None, value) for name, value in typed.items()}  # the page itself sends another media type
    foreign = other.client.post(f"{other.root}{path}/edit", files=parts, headers={"Origin": other.origin})
    assert foreign.url.path.endswith("/login")
    other.post("/login", "/login", email="agent@engines.example", password=PASSWORD)
    expired = other.send(f"{path}/edit", again)
    assert "Patient one" in other.send(f"{path}/edit", fields_of(expired.text)).text
    other.client.close()


def test_a_refused_form_names_people_and_records_in_the_language_of_the_page(box: Box, grace: Visitor) -> None:
    """Its page shows the names that were chosen, no ids and addresses, with the labels of the tenant's language."""
    customer = grace.customer(name="Named Rowing").rpartition("/")[2]
    typed = {"name": "Trip", "customer_id": customer, "customer_id:text": "Named Rowing", "owner": grace.email}
    box.applied("workspace", {"locale": "de-DE"})
    try:
        with httpx.Client(base_url=grace.origin) as stranger:
            headers = {"Origin": grace.origin}
            sent = {**typed, "owner:text": "Grace Hopper"}
            shown = stranger.post(f"{grace.root}/deals/new", data=sent, headers=headers).text
    finally:
        box.applied("workspace", {})
    facts = dict(re.findall(r"<dt>([^<]*)</dt><dd[^>]*>([^<]*)</dd>", shown))
    assert facts == {"Name": "Trip", "Kunde": "Named Rowing", "Zuständig": "Grace Hopper"}
    assert fields_of(shown)["customer_id"] == customer
    note = grace.send("/activities/new", {"text": "A note", "customer_id": customer, "csrf": "old"}).text
    assert customer not in note.split("<dl")[1].partition("</dl>")[0]


def test_a_record_that_is_gone_leads_to_its_list(grace: Visitor) -> None:
    """Its page and a save say that it does not exist, name no id, and do not offer to save again."""
    path = "/customers/01a22a6d-217e-753a-b301-fed9de32c7c4"
    for page in (
        grace.get(path, 404),
        grace.send(f"{path}/edit", {"csrf": grace.csrf("/customers"), "revision": "1", "name": "Gone"}).text,
    ):
        assert "This record does not exist, or it has been erased." in page
        assert f'href="{grace.root}/customers">Back to Customers' in page
        assert "Save again" not in page
    assert "Gone</dd>" in page


def test_a_refused_form_names_every_wrong_field(grace: Visitor) -> None:
    """A text that was not chosen, an unclear date and values of the wrong kind, of a new deal and of a stored one."""
    customer = grace.customer(name="Chosen Rowing").rpartition("/")[2]
    created = grace.post("/deals/new", "/deals/new", name="Trip", customer_id=customer, amount="12.50")
    deal = "/deals/" + re.findall(r'data-id="([0-9a-f-]{36})"', created)[0]
    wrong = {
        "name": "",
        "customer_id:text": "Nowhere",
        "amount": "twelve",
        "closes_on": "31 Nov",
        "owner:text": "No One",
    }
    stored = {
        "revision": "1",
        "form:base": html.unescape(re.findall(r'"form:base" value="([^"]*)"', grace.get(f"{deal}/edit"))[0]),
    }
    for form, fields in (("/deals/new", wrong), (f"{deal}/edit", {**wrong, **stored, "customer_id": customer})):
        page = grace.post("/customers", form, 422, **fields)
        assert "5 fields need attention." in page
        errors = page.split('class="errors"')[1].partition("</ul>")[0]
        assert re.findall(r'href="#f-(\w+)"', errors) == ["name", "customer_id", "amount", "closes_on", "owner"]
    one = grace.post("/customers", "/deals/new", 422, **{"name": "Trip", "customer_id:text": "Nowhere"})
    assert "1 field needs attention." in one


def test_a_limit_is_said_before_the_form_is_filled(box: Box, grace: Visitor) -> None:
    """At the limit the list has no way to the form, the form says so, and a refused save keeps what was typed."""
    grace.customer(name="The last one")
    try:
        box.applied("features", {**EVERYTHING, "limits": {"customers": 1}})
        said = "The plan includes 1 customer, and all are in use."
        listed = grace.get("/customers")
        assert said in listed
        assert 'aria-disabled="true" aria-describedby="full"' in listed
        assert said in grace.get("/customers/new")
        refused = grace.post("/customers/new", "/customers/new", 403, name="One too many")
        assert 'value="One too many"' in refused
        assert said in refused
    finally:
        box.applied("features", EVERYTHING)


def test_times_at_the_ends_of_the_calendar_break_no_page(box: Box, grace: Visitor) -> None:
    """A time that has no date in the workspace's time zone is shown in UTC; one without a date in UTC is refused."""
    path = grace.customer(name="Far Ahead")
    note = {"customer_id": path.rpartition("/")[2], "kind": "note", "text": "Far"}
    box.applied("workspace", {"timezone": "Asia/Tokyo"})
    try:
        grace.post(path, "/activities/new", 200, at="9999-12-31T23:59:59Z", **note)
        for shown in (path, "/activities", "/", "/customers?updated_since=9999-12-31t23:59:59z"):
            grace.get(shown)
        assert "9999-12-31T23:59:59.000Z" in grace.get(path)
        grace.post(path, "/activities/new", 422, at="0001-01-01 00:00", **note)
    finally:
        box.applied("workspace", {})
