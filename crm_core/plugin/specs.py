"""Every hook, on one page. Hooks are synchronous and get facts, never the application, and can change none of them.

A hook that is "not mine" returns None or nothing; "mine and wrong" is an exception. A plugin that raises in a push
makes the answer ``plugin_failed``: nothing is used and nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from crm_core.errors import Finding
    from crm_core.plugin.payload import PayloadContext, PayloadType
    from crm_core.plugin.policy import ModuleRefusal, NamedModule, PolicyContext
    from crm_core.plugin.record_type import RecordType
    from crm_core.plugin.signature import SignatureScheme
    from crm_core.plugin.storage import StorageBackend

PROJECT = "crm"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def crm_register_payload_types() -> Iterable[PayloadType]:  # type: ignore[empty-body]
    """Runs once at start. Return payload type objects; their NAMEs must be free. None: this plugin brings none."""


@hookspec
def crm_register_signature_schemes() -> Iterable[SignatureScheme]:  # type: ignore[empty-body]
    """Runs once at start. Return signature scheme objects; their NAMEs and HEADERS must be free. None: none."""


@hookspec
def crm_register_storage_backends() -> Iterable[type[StorageBackend]]:  # type: ignore[empty-body]
    """Runs once at start. Return storage backend classes; instance.yaml picks one by NAME. None: none."""


@hookspec
def crm_register_record_types() -> Iterable[RecordType]:  # type: ignore[empty-body]
    """Runs once at start. Return record type objects; their NAMEs must be free. None: none."""


@hookspec
def crm_validate_payload(  # type: ignore[empty-body]
    section: str, part: Mapping[str, Any], context: PayloadContext
) -> Iterable[Finding]:
    """Runs per section of a push, after its own type has found it valid, before anything changes.

    ``part`` is the section as it would be, secrets as ``{"set": true}``; pointers are into the part. Findings of all
    plugins are reported together; those with ``warning`` refuse nothing. None or nothing: no objection.
    """


@hookspec
def crm_module_policy(named: tuple[NamedModule, ...], context: PolicyContext) -> Iterable[ModuleRefusal]:  # type: ignore[empty-body]
    """Runs per push with every module and feature key that it names. Any refusal wins. None: no objection."""
