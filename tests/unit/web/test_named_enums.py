"""Choices in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from crm_core.web.api.named_enums import name_enums

STATUS = {"enum": ["active", "lead"]}


def test_choices_are_named_schemas() -> None:
    """Forms of one thing and the filters on it refer to one schema; another with the same name gets a number."""
    null = {"type": "null"}
    components: dict[str, Any] = {
        "CustomersRecord": {"properties": {"status": STATUS, "name": {"type": "string"}}},
        "CustomersPatch": {"properties": {"status": {"anyOf": [STATUS, null]}, "kinds": {"items": STATUS}}},
        "CustomersStatus": {"type": "object"},
        "Problem404": {"properties": {"status": {"type": "integer", "enum": [404]}}},
        "Mode": {"properties": {"mode": {"enum": ["apply", "preview"], "default": "apply"}}},
    }
    parameters = [{"schema": {"items": {"anyOf": [STATUS, {"maxLength": 0}]}}}, {"schema": {"enum": ["a", "b"]}}]
    name_enums({"/customers": {"get": {"parameters": parameters}}}, components)
    reference = {"$ref": "#/components/schemas/CustomersStatus_2"}
    assert components["CustomersStatus_2"] == {"type": "string", **STATUS}
    assert components["CustomersRecord"]["properties"]["status"] == reference
    assert components["CustomersPatch"]["properties"]["status"] == {"anyOf": [reference, null]}
    assert components["CustomersPatch"]["properties"]["kinds"]["items"]["$ref"].endswith("/CustomersKinds")
    assert parameters[0]["schema"]["items"]["anyOf"][0] == reference
    assert parameters[1]["schema"] == {"enum": ["a", "b"]}
    assert components["Problem404"]["properties"]["status"]["enum"] == [404]
    assert components["Mode"]["properties"]["mode"]["default"] == "apply"
