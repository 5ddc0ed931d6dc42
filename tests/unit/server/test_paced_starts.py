from __future__ import annotations

import asyncio

from crm_core.server.paced_starts import FEWEST, MOST, PacedStarts


async def started_by_turn(requests: int, seconds: float) -> list[list[int]]:
    """The numbers of the requests that start in each turn, when all arrive in the first and each takes ``seconds``."""
    turns: list[list[int]] = [[]]
    now = 0.0

    async def app(scope: int, receive: object, send: object) -> None:
        nonlocal now
        now += seconds
        turns[-1].append(scope)

    paced = PacedStarts(app, lambda: now)
    tasks = [asyncio.create_task(paced(number, None, None)) for number in range(requests)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        turns.append([])
    return [turn for turn in turns if turn]


async def test_requests_that_arrive_together_start_a_few_in_each_turn() -> None:
    """None is left out, their order stays, and long ones start no more than the least at a time."""
    turns = await started_by_turn(3 * FEWEST + 1, 0.001)
    assert [number for turn in turns for number in turn] == list(range(3 * FEWEST + 1))
    assert max(len(turn) for turn in turns) == FEWEST


async def test_short_requests_start_in_larger_numbers_up_to_a_bound() -> None:
    """Turns that end early let the next one start more, and no turn starts more than the most."""
    turns = await started_by_turn(20 * MOST, 0.0001)
    assert [number for turn in turns for number in turn] == list(range(20 * MOST))
    assert [len(turn) for turn in turns[:3]] == [FEWEST, FEWEST + 1, FEWEST + 2]
    assert max(len(turn) for turn in turns) == MOST


async def test_a_request_that_is_cut_off_while_it_waits_takes_no_place() -> None:
    """The ones behind it start as if it had not come."""
    started: list[int] = []

    async def app(scope: int, receive: object, send: object) -> None:
        started.append(scope)

    paced = PacedStarts(app, lambda: 0.0)
    tasks = [asyncio.create_task(paced(number, None, None)) for number in range(2 * FEWEST + 1)]
    await asyncio.sleep(0)
    tasks[FEWEST].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert started == [number for number in range(2 * FEWEST + 1) if number != FEWEST]
