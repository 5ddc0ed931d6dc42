"""Problems in the OpenAPI document: one schema for each status, with the codes that it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from crm_core import errors
from crm_core.errors import CrmError
from crm_core.server.problem import PROBLEM
from crm_core.web.operations import Operation

REF: Final = "#/components/schemas/{name}"


class Finding(msgspec.Struct, frozen=True):
    """One of the errors of a problem."""

    pointer: str
    code: str
    message: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem, and further members as evidence."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[Finding] | msgspec.UnsetType = msgspec.UNSET


def problem_components(operations: Iterable[Operation], secret_codes: Iterable[str]) -> dict[str, Any]:
    """The named schemas of problems; generators make one typed error of each.

    ``secret_codes``: the codes of a secret that must be sent again, which contain its name.
    """
    by_status: dict[int, set[str]] = {}
    for operation in operations:
        for status, same in _errors_by_status(operation).items():
            by_status.setdefault(status, set()).update(error.code for error in same)
    if "secret_required" in by_status.get(422, ()) or "invalid_payload" in by_status.get(422, ()):
        by_status[422].update(secret_codes)
    _, known = msgspec.json.schema_components([Problem], ref_template=REF)
    return known | {f"Problem{status}": _typed(known["Problem"], status, codes) for status, codes in by_status.items()}


def problem_responses(operation: Operation) -> Iterator[tuple[str, Any]]:
    """The responses that are problems, by status; ``x-codes`` are the codes of this operation."""
    for status, same in sorted(_errors_by_status(operation).items()):
        yield (
            str(status),
            {
                "description": "; ".join(f"{error.code}: {error.title}" for error in same),
                "content": {PROBLEM: {"schema": {"$ref": REF.format(name=f"Problem{status}")}}},
                "x-codes": [error.code for error in same],
            },
        )


def _typed(problem: dict[str, Any], status: int, codes: Iterable[str]) -> dict[str, Any]:
    """The schema of problems with a status. ``integer`` with ``enum``: generators drop what has ``const``."""
    properties = {
        **problem["properties"],
        "status": {"type": "integer", "enum": [status]},
        "code": {"type": "string", "enum": sorted(codes)},
    }
    return {**problem, "title": f"Problem{status}", "properties": properties}


def _errors_by_status(operation: Operation) -> Mapping[int, list[type[CrmError]]]:
    by_status: dict[int, list[type[CrmError]]] = {}
    for error in (*operation.errors, *_common_errors(operation)):
        same = by_status.setdefault(error.status, [])
        if error not in same:
            same.append(error)
    return by_status


def _common_errors(operation: Operation) -> Iterator[type[CrmError]]:
    """The errors that follow from what an operation requires of its requests."""
    yield from (errors.InternalError, errors.MalformedPath, errors.MalformedRequest, errors.RequestTimeout)
    if operation.in_tenant:
        yield from (errors.MisdirectedInstance, errors.UnknownTenant, errors.StorageUnavailable)
        yield errors.InvalidParameter
        if not operation.signed:
            yield errors.UnknownParameter
    if operation.body is not None:
        yield from (errors.UnsupportedMediaType, errors.PayloadTooLarge, errors.MalformedJson)
    if operation.scope is not None or operation.key is not None:
        yield errors.Unauthenticated
        if operation.method != "GET":
            yield errors.CsrfFailed
        if (operation.scope, operation.key) != ("any", "any"):
            yield errors.InsufficientScope
        if operation.key != "any":
            yield errors.PermissionDenied
