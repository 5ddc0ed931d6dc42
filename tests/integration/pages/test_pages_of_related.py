from __future__ import annotations

import re
from typing import Any

import pytest

from contract.box import TENANT, Box
from visitor import Visitor

STAGES = ("new", "won", "lost")


def deals(customer: str, count: int) -> list[dict[str, Any]]:
    """Deals of 10 euros or dollars, a third of them open; each closes a day before the one that follows."""
    return [
        {"name": f"Deal {at}", "customer_id": customer, "stage": STAGES[at % 3], "amount": "10", "currency": currency}
        | {"closes_on": f"20{99 - at // 25}-06-{28 - at % 25:02d}"}
        for at in range(count)
        for currency in ("EUR" if at % 6 < 3 else "USD",)
    ]


@pytest.mark.parametrize("count", [24, 240])
def test_the_deals_of_a_customer_are_counted_and_summed_up(box: Box, grace: Visitor, count: int) -> None:
    """Few deals or many: open ones with sums for each currency, five of them, the next to close first, and the rest."""
    path = grace.customer(name=f"Customer of {count}")
    id_ = path.rpartition("/")[2]
    made = box.client.post(
        f"{box.base(TENANT)}/deals/batch",
        json={"items": deals(id_, count)},
        headers=box.bearer("deals:read", "deals:write"),
    ).json()["results"]
    assert {one["status"] for one in made} == {201}
    page = re.sub(r"<[^>]+>", " ", grace.get(path).split("Open deals")[1])
    words, still = " ".join(page.split()), count // 3
    assert words.startswith(f"{still} €{still * 5} ${still * 5} ")
    assert f"All {still} · {count - still} closed · €{(count - still) * 5} · ${(count - still) * 5}" in words
    last = [at for at in range(count) if at % 3 == 0][:-6:-1]
    assert re.findall(r"Deal \d+", words)[:5] == [f"Deal {at}" for at in last]
    archived = made[last[0]]["id"]
    grace.post(f"/deals/{archived}", f"/deals/{archived}/archive", revision="1")
    after = " ".join(re.sub(r"<[^>]+>", " ", grace.get(path).split("Open deals")[1]).split())
    assert after.startswith(f"{still - 1} ")
    assert f"Deal {last[0]} " not in after.split("closed")[0]
