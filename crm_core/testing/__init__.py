"""For plugin authors: one conformance suite per plugin kind, fakes, fixtures."""

from __future__ import annotations

import pkgutil

import pytest

# Before any of them is imported: a suite's failed assertion then shows its values, as one in a test file does.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
