"""Reports: what record types say, by period and owner, as charts, tables and CSV."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from browser.api import Api
from browser.desk import Desk, People
from browser.office import today
from contract.box import Box

pytestmark = pytest.mark.usefixtures("plain")
Sit = Callable[..., Desk]
OWNER = f"owner={People.manager.email}"


@pytest.fixture(scope="module")
def sold(box: Box, api: Api) -> None:
    """The manager's deals and tasks, which no other test gives that colleague."""
    modules = ["customers.*", "deals.*", "tasks.*", "reports.*"]
    box.applied("features", {"plan": {"code": "all", "name": "All", "features": modules}})
    box.applied("workspace", {"timezone": "Europe/Berlin", "currency": "EUR", "locale": "en-GB"})
    me = People.manager.email
    customer = api.put("customers", "sold", name="Sold Sailing", owner=me)["id"]
    for number, (stage, currency) in enumerate(
        (("new", "EUR"), ("proposal", "EUR"), ("won", "EUR"), ("lost", "EUR"), ("won", "USD"))
    ):
        members = {"amount": f"{number + 1}000.00", "currency": currency, "closes_on": today().isoformat()}
        api.put(
            "deals", f"sold-{number}", name=f"Sold {number}", customer_id=customer, owner=me, stage=stage, **members
        )
    late = (today() - timedelta(days=4)).isoformat()
    api.put("tasks", "sold-1", name="Late", assignee=me, due_on=late)
    api.put("tasks", "sold-2", name="Done", assignee=me, due_on=late)
    api.put("tasks", "sold-2", name="Done", assignee=me, due_on=late, done=True)


def test_reports_follow_what_happened(sit: Sit, sold: None) -> None:
    """Sums, tables and people are those of the owner; another currency is left out, said so, and shown by a link."""
    desk = sit()
    page = desk.page
    desk.go("/reports")
    page.get_by_role("combobox", name="Owner").fill("mehmet")
    page.get_by_role("option", name="Mehmet Aydin").click()
    expect(page.locator(".page-head")).to_contain_text("Mehmet Aydin")
    figures = page.locator(".stats")
    expect(figures).to_contain_text("€3,000")
    expect(figures).to_contain_text("1 of 2 decided")
    pipeline = page.locator("section", has=page.get_by_role("heading", name="Pipeline by stage and month"))
    pipeline.get_by_text("Show as a table").click()
    cells = pipeline.locator("tbody tr").first.locator("td").all_inner_texts()
    assert cells == ["€1,000", "€0", "€2,000", "€3,000"]
    activity = page.locator("section", has=page.get_by_role("heading", name="Activity by person"))
    expect(activity.get_by_role("img", name="Mehmet Aydin: ")).to_have_attribute(
        "aria-label", re.compile("Tasks done 1")
    )
    overdue = page.locator("section", has=page.get_by_role("heading", name="Overdue tasks by person"))
    expect(overdue).to_contain_text("oldest 4 days")
    new = page.locator("section", has=page.get_by_role("heading", name="New customers"))
    expect(new).to_contain_text("1")
    expect(page.get_by_text("1 in USD is left out.")).to_be_visible()
    page.locator("span", has_text="1 in USD is left out.").get_by_role("link").click()
    expect(figures).to_contain_text("US$5,000")
    page.get_by_role("link", name="12 months").click()
    expect(page.locator(".page-head")).to_contain_text("in USD")
    assert desk.serious() == []


def test_each_report_is_exported(sit: Sit, sold: None) -> None:
    """One report, or all of them, as CSV with plain numbers; an unknown one is not found."""
    desk = sit()
    desk.go("/account")
    fetched = desk.context.request.get(f"{desk.root}/reports/export.csv?{OWNER}&report=deals-decided&period=month")
    assert fetched.body().startswith(b"\xef\xbb\xbf")  # by which a spreadsheet knows UTF-8
    head, row = fetched.text().removeprefix("\ufeff").splitlines()
    assert head == "Month,Won,Lost,Currency"
    assert row == f"{today():%Y-%m},3000.00,4000.00,EUR"
    everything = desk.context.request.get(f"{desk.root}/reports/export.csv?{OWNER}").text()
    assert all(title in everything for title in ("Won and lost", "New customers", "Overdue tasks by person"))
    assert desk.context.request.get(f"{desk.root}/reports/export.csv?report=none").status == 404


@pytest.mark.parametrize("width", [320, 390])
def test_the_months_below_a_chart_do_not_touch(sit: Sit, sold: None, width: int) -> None:
    """A phone shows every other label of many columns."""
    desk = sit(viewport={"width": width, "height": 844})
    desk.go("/reports?period=year")
    boxes = desk.page.locator(".chart .labels").first.evaluate(
        "(labels) => [...labels.children].map((label) => label.getBoundingClientRect()).filter((box) => box.width)"
        ".map((box) => [box.left, box.right])"
    )
    assert len(boxes) == 6
    assert all(right + 4 < left for (_, right), (left, _) in pairwise(boxes))


def test_charts_look_alike(sit: Sit, sold: None) -> None:
    """The chart of the sync console has its table below it as the charts of the reports have."""
    desk = sit()
    looks = set()
    for path, card in (("/reports?period=year", "section.card"), ("/sync", "#activity")):
        desk.go(path)
        found = desk.page.locator(f"{card}:has(svg.chart)").first
        found.get_by_text("Show as a table").click()
        looks.add(
            tuple(
                found.locator(part).first.evaluate(
                    "(one) => [getComputedStyle(one).color, getComputedStyle(one).fontSize].join()"
                )
                for part in ("summary", "thead th", "tbody td")
            )
        )
    assert len(looks) == 1, looks


def test_reports_need_their_rights(sit: Sit, box: Box, sold: None) -> None:
    """Those who may not export have no button, and the address is refused; without the module the page is."""
    desk = sit(People.viewer)
    desk.go("/reports")
    expect(desk.page.get_by_role("link", name="Export all as CSV")).to_have_count(0)
    desk.go("/reports/export.csv", status=403)
    box.applied("features", {"plan": {"code": "few", "name": "Few", "features": ["customers.*"]}})
    desk.go("/reports", status=403)
