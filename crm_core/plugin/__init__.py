"""The one door for plugins: hooks, the base classes they return, the host and the registry.

A plugin imports ``hookimpl`` from here and marks its hook functions with it; ``specs.py`` shows every hook on one page.
"""

from __future__ import annotations

from crm_core.plugin.specs import hookimpl

__all__ = ["hookimpl"]
