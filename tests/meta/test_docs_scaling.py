from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import ModuleType

import pytest

from crm_core.access.streams import MAX_STREAMS, MAX_STREAMS_OF_CALLER
from crm_core.access.throttle import CAPACITY
from doc_pages import ROOT, blocks, page

NAME = "docs/scaling.md"


@pytest.fixture
def model() -> ModuleType:
    """The capacity model, as a module."""
    spec = importlib.util.spec_from_file_location("capacity", ROOT / "docs/examples/capacity.py")
    module = sys.modules["capacity"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_model_says_what_the_page_shows() -> None:
    """The page's command prints the page's figures."""
    (command,) = [block.text for block in blocks(NAME, "bash") if block.runs]
    _, shown = [block.text for block in blocks(NAME, "text")]
    words = command.split()
    done = subprocess.run([sys.executable, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == shown


def test_the_model_grows_with_the_load(model: ModuleType) -> None:
    """Twice the tenants need twice of everything but connections; costs are in the units that their names say."""
    one = model.capacity(model.Load(tenants=100_000), model.Costs())
    two = model.capacity(model.Load(tenants=200_000), model.Costs())
    fixed = {"database connections", "processes needed at the peak", "memory of all processes MB"}
    assert one["processes needed at the peak"] < two["processes needed at the peak"]
    assert {name for name in one if two[name] != pytest.approx(2 * one[name])} <= fixed
    assert two["database connections"] == one["database connections"]
    assert one["log entries"] == 100_000 * 20 * 365
    assert one["log MB a day"] == pytest.approx(100_000 * 20 * 1_400 / 1e6)
    assert one["attempts a second at the peak"] == pytest.approx(100_000 * 20 / 86_400 * 6)
    assert one["database connections"] == 4 * 11
    busy = model.capacity(model.Load(tenants=100_000), model.Costs(read_ms=13.0))
    assert busy["processes needed at the peak"] > one["processes needed at the peak"]


def test_the_limits_are_those_of_the_code() -> None:
    """The page's numbers of streams and failed sign-ins."""
    text = page(NAME)
    assert f"the {MAX_STREAMS} event streams and waits of a tenant, {MAX_STREAMS_OF_CALLER} of a caller" in text
    assert CAPACITY == 10
    assert "after ten failed sign-ins" in text
