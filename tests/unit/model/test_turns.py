from __future__ import annotations

import asyncio

from crm_core.model.turns import TURN, Turn


class Clock:
    """Seconds, which a test spends."""

    def __init__(self) -> None:
        self.used = 7.0

    def __call__(self) -> float:
        return self.used


def test_a_turn_is_over_when_its_time_is_used_up() -> None:
    """Not before, and then once: the next turn begins when the end of one is noticed."""
    clock = Clock()
    turn = Turn(clock)
    clock.used += TURN * 0.9
    assert not turn.over
    clock.used += TURN * 0.2
    assert turn.over
    assert not turn.over


async def test_other_tasks_run_in_a_pause_and_their_work_does_not_count() -> None:
    """A turn that is not over does not pause."""
    clock, ran = Clock(), list[str]()

    async def other() -> None:
        ran.append("other")
        clock.used += 10 * TURN

    turn = Turn(clock)
    task = asyncio.create_task(other())
    await turn.pause()
    assert ran == []
    clock.used += 2 * TURN
    await turn.pause()
    assert ran == ["other"]
    assert not turn.over
    await task
