from __future__ import annotations

import asyncio

from crm_core.server.paced_starts import STARTS, PacedStarts


async def started_by_turn(requests: int) -> list[list[int]]:
    """The numbers of the requests that start in each turn, when all arrive in the first."""
    turns: list[list[int]] = [[]]

    async def app(scope: int, receive: object, send: object) -> None:
        turns[-1].append(scope)

    paced = PacedStarts(app)
    tasks = [asyncio.create_task(paced(number, None, None)) for number in range(requests)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        turns.append([])
    return [turn for turn in turns if turn]


async def test_requests_that_arrive_together_start_a_few_in_each_turn() -> None:
    """None is left out, their order stays, and no turn starts more than the bound."""
    turns = await started_by_turn(3 * STARTS + 1)
    assert [number for turn in turns for number in turn] == list(range(3 * STARTS + 1))
    assert max(len(turn) for turn in turns) == STARTS


async def test_a_request_that_is_cut_off_while_it_waits_takes_no_place() -> None:
    """The ones behind it start as if it had not come."""
    started: list[int] = []

    async def app(scope: int, receive: object, send: object) -> None:
        started.append(scope)

    paced = PacedStarts(app)
    tasks = [asyncio.create_task(paced(number, None, None)) for number in range(2 * STARTS + 1)]
    await asyncio.sleep(0)
    tasks[STARTS].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert started == [number for number in range(2 * STARTS + 1) if number != STARTS]
