from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crm_core.errors import SetupError
from crm_core.settings.installation import install

Crm = Callable[..., Any]


def test_check_and_start_refuse_an_unknown_disabled_plugin(config: Path, crm: Crm) -> None:
    """A slip under plugins.disabled would leave the plugin running that it was meant to stop."""
    instance = config / "instance.yaml"
    instance.write_text("instance: eu1\nsecret_key: env:CRM_SECRET_KEY\nplugins: {disabled: [crm_deal]}\n")
    problem = "instance.yaml:3:22: there is no plugin `crm_deal`; did you mean `crm_deals`?"
    checked = crm("config", "check")
    assert (checked.code, checked.err.splitlines()) == (1, [problem])
    with pytest.raises(SetupError) as caught:
        install(config, os.environ)
    assert caught.value.problems == (problem,)
    instance.write_text(instance.read_text().replace("crm_deal", "crm_deals"))
    assert install(config, os.environ).settings.plugins.disabled == {"crm_deals"}


def test_check_reports_to_programs(config: Path, crm: Crm) -> None:
    """With --json the problems are a document, whether there are any or not, with the same exit code."""
    good = crm("config", "check", "--json")
    report = json.loads(good.out)
    assert (good.code, report["problems"], len(report["warnings"])) == (0, [], 1)
    assert "northwind" in report["warnings"][0]
    (config / "roles.yaml").write_text("rolls: {}\n")
    bad = crm("config", "check", "--json")
    assert (bad.code, json.loads(bad.out)["problems"]) == (1, bad.err.splitlines())
    assert bad.err.startswith("roles.yaml:1:1: ")
