from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import asyncio, logging
from crm_core.cli.log_lines import set_up_logging
from crm_core.server_log import ServerLog

set_up_logging()
ServerLog("crm.web").warning("config_refused", problem="keys.yaml:1:1: wrong")
logging.getLogger("crm_core.server").warning("the drain's time is over: %d requests are cut off", 3)
logging.getLogger("uvicorn").info("chatter")

async def main():
    async def fails():
        raise ValueError("hunter2 in a trace")
    asyncio.ensure_future(fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

asyncio.run(main())
try:
    raise KeyError("hunter2")
except KeyError:
    logging.getLogger("some.library").exception("failed on %s\\nsecond line", "hunter2")
"""


def test_every_line_is_one_json_object_without_traces_or_data_of_requests() -> None:
    """Our events, our servers' sentences, the event loop's complaints and libraries' errors come in one form."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == [
        "config_refused",
        "the drain's time is over: 3 requests are cut off",
        "Task exception was never retrieved",
        "failed on %s",
    ]
    assert [line.get("error") for line in lines] == [None, None, "ValueError", "KeyError"]
    assert all(line["timestamp"].endswith("Z") and line["level"] for line in lines)
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_without_a_log_prints_no_bare_events() -> None:
    """It says in sentences what a server would log; Python shows the names of events that no one handles."""
    event = "from crm_core.server_log import ServerLog; ServerLog('crm.plugin').error('plugin_slow', plugin='acme')"
    done = subprocess.run([sys.executable, "-c", event], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
