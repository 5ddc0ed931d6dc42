from __future__ import annotations

from crm_core.plugin.registry import RESERVED_PAYLOAD_TYPES, RESERVED_RECORD_TYPES
from crm_core.web.bootstrap import Bootstrap
from crm_core.web.pages.routes import ROUTES

SECTIONS_IN_BOOTSTRAP = {"branding", "features", "workspace"}  # members that are told by these very sections


def test_no_section_can_stand_in_for_a_member_of_bootstrap() -> None:
    """A section is shown under its name, so it cannot be called what bootstrap says of itself."""
    assert set(Bootstrap.__struct_fields__) - SECTIONS_IN_BOOTSTRAP <= RESERVED_PAYLOAD_TYPES


def test_no_record_type_hides_behind_a_page() -> None:
    """Records have their pages at their type's name, which no page of the workspace has."""
    taken = {route.path.split("/")[1] for route in ROUTES}
    fixed = {name for name in taken if name and "{" not in name}
    assert len(fixed) > 5
    assert fixed <= RESERVED_RECORD_TYPES
