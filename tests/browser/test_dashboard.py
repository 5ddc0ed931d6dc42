"""The dashboard of the day, as a colleague without any other work sees it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from browser.api import Api
from browser.desk import Desk, People
from browser.office import today
from contract.box import Box

Sit = Callable[..., Desk]


@pytest.fixture(scope="module")
def day(box: Box, api: Api) -> None:
    """The admin's tasks and deals, which no other test gives that colleague."""
    box.applied("features", {"plan": {"code": "all", "name": "All", "features": ["customers.*", "deals.*", "tasks.*"]}})
    box.applied("workspace", {"timezone": "Europe/Berlin", "currency": "EUR", "locale": "en-GB"})
    me, customer = People.admin.email, api.put("customers", "day", name="Day Sailing Club")["id"]
    for number, days in enumerate((-2, 0, 3)):
        due = (today() + timedelta(days=days)).isoformat()
        api.put("tasks", f"day-{number}", name=f"Day task {number}", assignee=me, due_on=due, customer_id=customer)
    for number, (currency, stage) in enumerate((("EUR", "new"), ("EUR", "new"), ("USD", "new"), ("EUR", "won"))):
        members = {"amount": "1500.00", "currency": currency, "stage": stage, "closes_on": today().isoformat()}
        api.put("deals", f"day-{number}", name=f"Day deal {number}", customer_id=customer, owner=me, **members)


def test_the_day_comes_first(sit: Sit, day: None) -> None:
    """Overdue, today and later are apart; open deals have a sum for each currency; sync is for those with the right."""
    desk = sit(People.admin)
    page = desk.page
    desk.go("/")
    expect(page.locator(".page-head")).to_contain_text("1 overdue, 1 due today")
    expect(page.locator("[data-live=tasks-1]")).to_contain_text("Overdue · 1")
    expect(page.locator("[data-live=tasks-1] li", has_text="Day task 0")).to_contain_text("2 days late")
    expect(page.locator("[data-live=tasks-1] li", has_text="Day task 1")).to_contain_text("Day Sailing Club")
    expect(page.get_by_role("link", name="1 in the next 7 days: next is “Day task 2”")).to_be_visible()
    expect(page.locator("[data-live=counts]")).to_contain_text("€3,000 · US$1,500")
    page.get_by_role("link", name="Closing this month").last.click()
    expect(page.locator("[data-lane=new] [data-card]")).to_have_count(3)
    assert "Sync:" in desk.go("/").text()
    agent = sit(People.viewer)
    assert "Sync:" not in agent.go("/").text()
    expect(agent.page.locator("[data-live=sales-1]")).to_contain_text("You have no open deals")


def test_changes_are_grouped_by_who_made_them(sit: Sit, day: None) -> None:
    """All that a system did in an hour is one line with its number; one record that a colleague changed is named."""
    desk = sit(People.admin)
    page = desk.page
    desk.go("/")
    recent = page.locator("[data-live=recent]")
    expect(recent.locator("li", has_text=re.compile(r"created \d+ deals")).first).to_be_visible()
    task = page.get_by_role("checkbox", name="Done: Day task 1")
    task.check()
    expect(recent.locator("li").first).to_contain_text("You finished Day task 1")
    expect(page.locator(".page-head")).to_contain_text("1 overdue, nothing due today")
    page.get_by_role("button", name="Undo: Day task 1").click()  # the next test finds it open
    expect(task).not_to_be_checked()


def test_the_keyboard_stays_where_it_acts(sit: Sit, box: Box, api: Api, day: None) -> None:
    """After Undo the focus is on the task's box; a task that leaves a list leaves it on the link of the next one.

    Without a network the box shows that the task is not done.
    """
    for number in (1, 2, 3):
        api.put(
            "tasks",
            f"stay-{number}",
            name=f"Stay {number}",
            assignee=People.super_admin.email,
            due_on=f"2020-01-0{number}",
        )
    desk = sit(People.super_admin)
    page = desk.page
    desk.go("/")
    done = page.get_by_role("checkbox", name="Done: Stay 1")
    done.press("Space")
    page.get_by_role("button", name="Undo: Stay 1").press("Enter")
    expect(done).not_to_be_checked()
    expect(done).to_be_focused()
    desk.go(f"/tasks?view=list&done=false&assignee={People.super_admin.email}")
    tab = page.get_by_role("navigation", name="Views of Tasks").get_by_role("link").filter(has_text="Open")
    still_open = int(tab.locator(".num").inner_text()) - 1
    page.get_by_role("button", name="Done: Stay 2").press("Enter")
    expect(page.get_by_role("button", name="Done: Stay 2")).to_have_count(0)
    expect(tab.locator(".num")).to_have_text(str(still_open))
    expect(page.get_by_role("link", name="Stay 3")).to_be_focused()
    desk.go("/")
    page.context.set_offline(True)
    page.get_by_role("checkbox", name="Done: Stay 1").click()
    expect(page.locator("[data-refused]")).to_contain_text("The server could not be reached.")
    expect(page.get_by_role("checkbox", name="Done: Stay 1")).not_to_be_checked()
    page.context.set_offline(False)
    for number in (1, 3):  # no other test finds them open
        api.put("tasks", f"stay-{number}", name=f"Stay {number}", done=True)
