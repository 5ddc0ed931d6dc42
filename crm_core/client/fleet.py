"""Many tenants at a time, in threads: httpx needs a third of the CPU time that it needs on an event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import httpx

from crm_core.client.answers import ClientError, NotAReceiver
from crm_core.client.desired import ApplyOptions, DesiredTenant, TenantResult, apply_steps, failure
from crm_core.client.exchange import Pause, Retries, Steps
from crm_core.client.transport import DEFAULT_RETRIES, TIMEOUT, drive, platform_of, quiet

T = TypeVar("T")
_OPTIONS = ApplyOptions()
_UNREADABLE = (httpx.HTTPError, RecursionError, LookupError, TypeError)
"""Errors that the answer of another program may cause."""


def apply_tenants(
    tenants: Iterable[DesiredTenant],
    options: ApplyOptions = _OPTIONS,
    *,
    parallel: int = 8,
    transport: httpx.BaseTransport | None = None,
    retries: Retries = DEFAULT_RETRIES,
    done: Callable[[TenantResult], None] = quiet,
    watch: Callable[[str, Pause], None] = quiet,
) -> list[TenantResult]:
    """Bring each tenant to its desired state, ``parallel`` at a time; return the results in the order given.

    A failure is a result and stops no other tenant; applying again does the rest. ``done`` receives each result as it
    arrives; ``watch`` receives each pause with its tenant, in the thread that pauses.
    """

    def steps(desired: DesiredTenant) -> Steps[TenantResult]:
        return apply_steps(platform_of(desired.target, desired.signer, retries), desired, options)

    def failed(tenant: str, error: ClientError) -> TenantResult:
        return failure(tenant, str(error))

    work = [(desired.target.tenant, steps(desired)) for desired in tenants]
    return drive_all(work, failed, parallel=parallel, transport=transport, done=done, watch=watch)


def drive_all(
    work: Iterable[tuple[str, Steps[T]]],
    failed: Callable[[str, ClientError], T],
    *,
    parallel: int,
    transport: httpx.BaseTransport | None = None,
    done: Callable[[T], None] = quiet,
    watch: Callable[[str, Pause], None] = quiet,
) -> list[T]:
    """Drive the steps of each tenant over shared connections, ``parallel`` at a time; return their values in order.

    ``failed`` makes the value of a tenant whose steps fail.
    """
    with (
        httpx.Client(transport=transport, timeout=TIMEOUT) as http,
        ThreadPoolExecutor(max_workers=parallel) as threads,
    ):

        def driven(tenant: str, steps: Steps[T]) -> T:
            try:
                return drive(http, steps, lambda pause: watch(tenant, pause))
            except ClientError as error:
                return failed(tenant, error)
            except _UNREADABLE as error:  # of one tenant: the others must not suffer
                name = type(error).__name__
                return failed(tenant, NotAReceiver(f"The answer is not one of a receiver ({name}). Check the address."))

        driving = [threads.submit(driven, *job) for job in work]
        try:
            for future in as_completed(driving):
                done(future.result())
        except BaseException:  # an interrupt too: tenants that were not begun are left
            threads.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in driving]
