from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from crm_core.model.presentation import Regional
from crm_core.web.pages.layout.formats import Formats, RegionalFormat

NOW = datetime(2026, 11, 24, 8, 42, tzinfo=UTC)


@pytest.mark.parametrize(
    ("section", "texts"),
    [
        ({"locale": "en-GB", "currency": "EUR"}, ("€1,284.50", "€1,284", "24 Nov 2026")),
        ({"locale": "de-DE", "date_format": "DD.MM.YYYY"}, ("1.284,50\xa0€", "1.284\xa0€", "24.11.2026")),
        ({"locale": "en-US", "currency": "USD", "date_format": "%m/%d/%Y"}, ("$1,284.50", "$1,284", "11/24/2026")),
        ({"locale": "xx-Nowhere", "timezone": "Mars/Olympus"}, ("€1,284.50", "€1,284", "24 Nov 2026")),
    ],
)  # fmt: skip
def test_money_and_dates_have_the_format_of_the_tenant(section: dict[str, str], texts: tuple[str, ...]) -> None:
    """Amounts follow the locale, with decimals only if they have some; dates follow the pattern."""
    regional = RegionalFormat(Regional(**section))
    assert (regional.money("1284.50", None), regional.money("1284.00", None), regional.day(NOW.date())) == texts


@pytest.mark.parametrize(("locale", "text"), [("en-GB", "67%"), ("de-DE", "67\xa0%")])
def test_a_share_has_the_percent_sign_of_the_locale(locale: str, text: str) -> None:
    """English writes the sign next to the number, German after a space."""
    assert RegionalFormat(Regional(locale=locale)).percent(2 / 3) == text


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(minutes=12), "12 min ago"),
        (timedelta(hours=5), "at 03:42"),
        (timedelta(hours=20), "yesterday at 12:42"),
        (timedelta(days=6), "on 18 Nov"),
    ],
)
def test_a_moment_inside_a_sentence_has_its_preposition(ago: timedelta, text: str) -> None:
    """A time or a date reads on from the words before it."""
    assert Formats(RegionalFormat(Regional()), NOW).within(NOW - ago).short == text


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=12), "12 min ago"),
        (timedelta(hours=5), "03:42"),
        (timedelta(hours=20), "Yesterday, 12:42"),
        (timedelta(days=6), "18 Nov"),
        (timedelta(days=400), "20 Oct 2025"),
        (-timedelta(days=5), "29 Nov"),
    ],
)
def test_moments_are_relative_for_an_hour(ago: timedelta, text: str) -> None:
    """Moments are relative for an hour, then the time, then the date, with the year unless it is this one."""
    moment = Formats(RegionalFormat(Regional()), NOW).moment(NOW - ago)
    assert moment is not None
    assert moment.short == text


@pytest.mark.parametrize("change", [datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)])
def test_moments_are_relative_over_a_change_of_the_clock(change: datetime) -> None:
    """The hour that the clock is set back or forward makes no moment older or newer."""
    formats = Formats(RegionalFormat(Regional(timezone="Europe/Berlin")), change + timedelta(minutes=10))
    assert formats.moment(change - timedelta(minutes=10)).short == "20 min ago"
    assert formats.within(change - timedelta(minutes=10)).short == "20 min ago"


@pytest.mark.parametrize(
    ("zone", "text", "full"),
    [
        ("America/New_York", "0001-01-01T00:00:00.000Z", "1 Jan 1, 00:00:00"),
        ("Pacific/Kiritimati", "9999-12-31T23:59:59.000Z", "31 Dec 9999, 23:59:59"),
    ],
)
def test_a_moment_without_a_date_in_the_time_zone_is_shown_in_utc(zone: str, text: str, full: str) -> None:
    """One record with such a time, or the end of a subscription, must not break every page that shows it."""
    moment = Formats(RegionalFormat(Regional(timezone=zone)), NOW).moment(text)
    assert moment is not None
    assert moment.full == full
