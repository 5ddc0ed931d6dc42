from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_core import errors
from crm_core.errors import CrmError
from crm_core.model.log import LogEntry, LoggedFinding
from crm_core.model.presentation import Regional
from crm_core.model.times import from_wire
from crm_core.web.pages.figures.charts import round_numbers
from crm_core.web.pages.layout.formats import RegionalFormat
from crm_core.web.pages.sync.attempt_checks import checks_of
from crm_core.web.pages.sync.attempts import status_of
from crm_core.web.pages.sync.charts import FILLS, PERIODS, chart_of
from crm_core.web.pages.sync.diffs import diff_of, lines_of
from crm_core.web.pages.sync.findings import findings_of, headline_of
from crm_core.web.pages.sync.push_template import script
from crm_core.web.pages.sync.remedies import remedy_of

NOW = datetime(2026, 11, 24, 8, 42, tzinfo=UTC)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdé"), inner, max_size=3),
    max_leaves=8,
)


def entry(**members: Any) -> LogEntry:
    known = {
        "id": "1", "received_at": "2026-11-24T08:31:05.000Z", "instance": "eu1", "tenant": "northwind",
        "status": "rejected", "signature_result": "valid", "request_id": "r",
    }  # fmt: skip
    return LogEntry(**{**known, **members})


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine, not a slow strategy
@given(values, values)
def test_a_diff_has_every_line_of_both_sides(before: Any, after: Any) -> None:
    """Lines and folds together are exactly the two texts, in order; equal values have no changed line."""
    diff = diff_of(before, after, ("a", "b"))
    old, new, folded = [], [], 0
    for line in diff.lines:
        folded += line.folded
        if line.old is not None:
            old.append("".join(piece.text for piece in line.old.pieces))
            assert line.old.number == len(old) + folded
        if line.new is not None:
            new.append("".join(piece.text for piece in line.new.pieces))
    assert len(old) + folded == len(lines_of(before))
    assert len(new) + folded == len(lines_of(after))
    assert any(line.changed for line in diff.lines) is (lines_of(before) != lines_of(after))


def test_a_diff_marks_the_words_that_differ() -> None:
    """Only the differing words of a changed line are marked."""
    [_, line, _] = diff_of({"title": "Old name"}, {"title": "New name"}, ("a", "b")).lines
    assert line.old is not None
    assert [piece.text for piece in line.old.pieces if piece.marked] == ["Old"]


@pytest.mark.parametrize("most", [0, 1, 2, 4, 5, 7, 8, 19, 100, 101, 12_345])
def test_ticks_are_round_few_and_high_enough(most: int) -> None:
    """There are 2 to 5 ticks from zero, evenly spaced, and the highest is at or above the highest bar."""
    ticks = round_numbers(most)
    assert ticks[0] == 0
    assert ticks[-1] >= most
    assert 2 <= len(ticks) <= 5
    assert len({one - other for one, other in zip(ticks[1:], ticks, strict=False)}) == 1


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
def test_a_chart_counts_every_attempt_of_its_period(period: Any, zone: str) -> None:
    """The bars of a period count all of its attempts except previews, the newest in the last bar."""
    ages = [timedelta(), period.span / 2, period.span * 0.9]
    entries = [
        entry(received_at=(NOW - age).strftime("%Y-%m-%dT%H:%M:%S.000Z"), status=status, count=2)
        for age in ages
        for status in ("applied", "unchanged", "rejected", "failed", "previewed")
    ]
    chart = chart_of(entries, period, NOW, RegionalFormat(Regional(timezone=zone)), cut=False)
    assert [(entry.fill, entry.total) for entry in chart.legend] == [(fill, "6") for fill in FILLS.values()]
    assert [bar.fill for bar in chart.columns[-1].bars] == list(FILLS.values())
    assert all(bar.y >= 12 and bar.y + bar.height <= 148 for column in chart.columns for bar in column.bars)
    assert len(chart.table.rows) == 3


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("now", ["2026-10-25T12:30:00.000Z", "2026-10-25T16:50:00.000Z", "2026-03-29T12:30:00.000Z"])
def test_a_chart_over_a_change_of_the_clock_has_the_newest_attempts(period: Any, now: str) -> None:
    """The last bar is of this hour or day, although the clock was set back or forward within the period."""
    zone = RegionalFormat(Regional(timezone="Europe/Berlin"))
    chart = chart_of([entry(received_at=now, status="applied", count=1)], period, from_wire(now), zone, cut=False)
    assert len(chart.columns[-1].bars) == 1
    assert sum(len(column.bars) for column in chart.columns) == 1


def test_an_empty_chart_says_so() -> None:
    """Without attempts the chart has a sentence and all of its empty bars."""
    chart = chart_of([], PERIODS[0], NOW, RegionalFormat(Regional()), cut=False)
    assert chart.summary == "No attempts in this period."
    assert len(chart.columns) == 24


ERRORS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, CrmError)]
PUSH_ERRORS = [one for one in ERRORS if issubclass(one, errors.PushError) and one is not errors.PushError]
SERVER_ERRORS = [errors.PluginFailed, errors.InternalError, errors.StorageUnavailable, errors.StorageFull]
ELSEWHERE = {"misdirected_instance", "unknown_tenant"}  # of no tenant's log
FAULTS = ["plugin_failed", "internal_error"]  # of no check
CODES = sorted({one.code for one in [*PUSH_ERRORS, *SERVER_ERRORS]} - ELSEWHERE)


@pytest.mark.parametrize("code", CODES)
def test_every_refusal_of_a_push_has_its_sentence_and_steps(code: str) -> None:
    """The page of a refused attempt names the problem and the steps, for each error code."""
    remedy = remedy_of(entry(error_code=code))
    assert remedy is not None
    assert remedy.title != "This push was refused"
    assert remedy.steps


def test_a_stale_version_is_sent_again_with_min_version() -> None:
    """The first step names min_version, the lowest version that is accepted."""
    remedy = remedy_of(entry(error_code="stale_version"))
    assert remedy is not None
    assert remedy.steps[0] == "Push with the version that health shows as min_version, or a higher one."


def test_a_limited_attempt_shows_no_check_as_passed() -> None:
    """Past the limit of its source an attempt counts for several, which may have failed at different checks."""
    words = {check.mark.text for check in checks_of(entry(error_code="rate_limited", seq=None), "eu1")}
    assert words == {"Not reached"}


@pytest.mark.parametrize("code", [*sorted({*CODES} - {*FAULTS}), "password_required"])
def test_checks_of_an_attempt(code: str) -> None:
    """An attempt has sixteen checks: passed ones, at most one failed, and none reached after it."""
    words = [check.mark.text for check in checks_of(entry(error_code=code, seq=None), "eu1")]
    assert len(words) == 16
    failed = words.index("Failed")
    assert words == ["Passed"] * failed + ["Failed"] + ["Not reached"] * (15 - failed)


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_in_a_verified_attempt_fails_no_check(code: str) -> None:
    """The attempt has a link of the chain, so the first nine checks passed; the others are unknown."""
    words = [check.mark.text for check in checks_of(entry(error_code=code, seq=5), "eu1")]
    assert words == ["Passed"] * 9 + ["Not reached"] * 7


def test_an_applied_push_passed_every_check() -> None:
    """An applied push has passed all sixteen."""
    assert {check.mark.text for check in checks_of(entry(status="applied", revision=5, seq=1), "eu1")} == {"Passed"}


def test_the_request_script_signs_what_the_receiver_verifies() -> None:
    """Run by a shell, the script sends the exact body with the signature of the native scheme."""
    body = {"tenant": "nw", "type": "branding", "version": 3, "data": {"title": "It's us"}}
    made = script(url="https://crm.example/push", instance="eu1", tenant="nw", key_version=2, body=body)
    shell = 'curl() { for one in "$@"; do printf "%s\\n" "$one"; done; }\n' + made
    key = bytes(range(1, 33))
    environ = {"CRM_KEY_HEX": key.hex(), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", shell], env=environ, capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()
    headers = dict(word.split(": ", 1) for word in words if ": " in word and word[0] != "{")
    sent = words[-1]
    assert json.loads(sent) == body
    text = ["crm-sync-v1", "eu1", "nw", "branding", "2", headers["Sync-Timestamp"], headers["Sync-Nonce"]]
    text.append(hashlib.sha256(sent.encode()).hexdigest())
    mac = hmac.new(key, "\n".join(text).encode(), "sha256").hexdigest()
    assert headers["Sync-Signature"] == f"v1={mac}"


def test_every_error_class_has_a_status() -> None:
    """The attempt's page can name the status of every refusal."""
    for one in PUSH_ERRORS:
        assert status_of(entry(error_code=one.code)) == one.status


@pytest.mark.parametrize(
    ("pointer", "message", "title"),
    [
        ("/data/colors/primary", "This must be a colour.", "Colors primary must be a colour"),
        ("/data/links/1/url", "This is not an https URL. Send one.", "Links item 2 url is not an https URL"),
        ("/data/from_email", "Unknown member.", "From email: unknown member"),
        ("/data/smtp/password", "This value has the wrong type.", "Smtp password has the wrong type"),
        ("/version", "This must be a whole number.", "Version must be a whole number"),
        ("/data", "The push contains no section. Send at least one.", "The push contains no section"),
    ],
)  # fmt: skip
def test_a_headline_names_member_and_cause(pointer: str, message: str, title: str) -> None:
    """The first error in words, with the names that lead to it, and how many follow."""
    finding = LoggedFinding(pointer, "code", message)
    assert headline_of(entry(error_code="invalid_payload", errors=(finding,))) == title
    assert headline_of(entry(error_code="invalid_payload", errors=(finding,) * 3)) == f"{title}, and 2 more"
    [found] = findings_of(entry(error_code="invalid_payload", errors=(finding,)))
    assert (found.title, found.fix) == (title, message.partition(". ")[2])


def test_a_headline_without_errors_is_the_cause() -> None:
    """A refusal by an earlier check has no errors; an accepted attempt has no headline."""
    assert headline_of(entry(error_code="key_inactive")) == "The key is not active"
    assert headline_of(entry(status="applied")) == ""
