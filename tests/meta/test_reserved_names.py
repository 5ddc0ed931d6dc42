from __future__ import annotations

import re
from pathlib import Path

import crm_core.web
from crm_core.plugin.faults import RESERVED_PAYLOAD_TYPES, RESERVED_RECORD_TYPES
from crm_core.web.api.bootstrap import Bootstrap
from crm_core.web.pages.routes import ROUTES

SECTIONS_IN_BOOTSTRAP = {"branding", "features", "workspace"}  # members that are reported by these very sections


def test_no_section_can_replace_a_member_of_bootstrap() -> None:
    """A section is shown under its name, so it cannot be called what bootstrap says of itself."""
    assert set(Bootstrap.__struct_fields__) - SECTIONS_IN_BOOTSTRAP <= RESERVED_PAYLOAD_TYPES


def test_no_record_type_hides_behind_a_page() -> None:
    """Records have their pages at their type's name, which no page of the workspace has."""
    taken = {route.path.split("/")[1] for route in ROUTES}
    fixed = {name for name in taken if name and "{" not in name}
    assert len(fixed) > 5
    assert fixed <= RESERVED_RECORD_TYPES


def test_no_record_type_has_an_operation_of_the_core() -> None:
    """Operations of records are named after their type (get_visits); the core's own cannot be among them."""
    sources = [path.read_text() for path in Path(crm_core.web.__path__[0]).rglob("*.py")]
    pattern = re.compile(r'name"?[:=] ?"(?:list|get|create|update|put|batch)_([a-z_-]+)"')
    taken = {name for source in sources for name in pattern.findall(source)}
    assert "user" in taken
    assert taken <= RESERVED_RECORD_TYPES
