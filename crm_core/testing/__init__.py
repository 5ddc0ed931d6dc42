"""For plugin authors: a conformance suite per plugin kind, and fakes."""

from __future__ import annotations

import pkgutil

import pytest

# Before they are imported: then a failed assertion in a suite shows its values, as in a test file.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
