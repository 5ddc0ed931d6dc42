"""The names that other people's code imports."""

from __future__ import annotations

import importlib
import inspect

import pytest

import crm_core.client
import crm_core.errors
from crm_core.errors import CrmError
from crm_core.plugin import specs

PACKAGES = ["crm_core.client", "crm_core.errors", "crm_core.workspace", "crm_core.plugin"]


@pytest.mark.parametrize("name", PACKAGES)
def test_what_a_package_offers_is_there(name: str) -> None:
    """Each name of ``__all__`` exists, appears once, in order."""
    package = importlib.import_module(name)
    offered = list(package.__all__)
    assert offered == sorted(set(offered))
    assert [one for one in offered if not hasattr(package, one)] == []


def test_every_error_is_offered_and_no_code_is_there_twice() -> None:
    """One class per wire code; a class without a code only groups others."""
    found = {
        one.__name__: one
        for one in vars(crm_core.errors).values()
        if inspect.isclass(one) and issubclass(one, CrmError) and one is not CrmError
    }
    assert set(found) <= set(crm_core.errors.__all__)
    codes = [one.__dict__["code"] for one in found.values() if "code" in one.__dict__]
    assert sorted(codes) == sorted(set(codes))


def test_the_hooks_of_the_plugin_door_are_these() -> None:
    """A new one is a decision, and so is one that goes."""
    assert {name for name in dir(specs) if name.startswith("crm_")} == {
        "crm_register_payload_types",
        "crm_register_signature_schemes",
        "crm_register_storage_backends",
        "crm_register_record_types",
        "crm_validate_payload",
        "crm_module_policy",
    }


def test_hooks_are_typed_reported_and_narrow() -> None:
    """At most four arguments, each with a type, and a docstring that says when it runs."""
    for name in dir(specs):
        if not name.startswith("crm_"):
            continue
        hook = getattr(specs, name)
        parameters = inspect.signature(hook).parameters.values()
        assert len(parameters) <= 4
        assert all(parameter.annotation is not inspect.Parameter.empty for parameter in parameters)
        assert (hook.__doc__ or "").startswith("Runs ")
