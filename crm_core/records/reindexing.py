"""How a store indexes records again that an earlier version wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from crm_core.plugin.registry import Registry
from crm_core.plugin.storage import IndexValue, Reindex
from crm_core.records.shape import Shape


def shapes_of(registry: Registry) -> Mapping[str, Shape]:
    """The record types in use, by name."""
    return {
        name: Shape(record_type, registry.owners["record type", name], registry.door)
        for name, record_type in registry.record_types.items()
    }


def reindex_of(registry: Registry) -> Reindex:
    """How documents of a collection are indexed."""
    by_collection = {
        name: shape for shape in shapes_of(registry).values() for name in (shape.collection, shape.archive)
    }

    def reindex(
        collection: str, names: tuple[str, ...]
    ) -> Callable[[bytes], tuple[bytes, Mapping[str, IndexValue]]] | None:
        shape = by_collection.get(collection)
        return None if shape is None else shape.reindex(names)

    return reindex
