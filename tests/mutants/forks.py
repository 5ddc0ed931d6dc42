"""Run mutants in forks of one pytest session that has collected the tests, so that a mutant costs its tests alone.

mutmut starts pytest for each mutant, which takes longer than most tests. Here those tests run first that noticed other
mutants, of the same function before all others, so that most mutants cost one test or two.

``python forks.py TESTS... <NAMES`` runs in mutmut's folder of mutants, and stores exit codes where mutmut has them.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NoReturn

import pytest
from mutmut.mutation.trampoline import set_mutant_under_test

CHILDREN = 2
KILLED, SURVIVED, UNTESTED, TIMEOUT = 1, 0, 33, -24  # as mutmut has them
_SECONDS = 120.0  # for the tests of a mutant, beyond ten times what they need
_TEMPORARY = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp")  # where an fsync costs nothing


class Results:
    """The exit codes of mutants, in the files in which mutmut has them."""

    def __init__(self) -> None:
        self._files: dict[Path, dict[str, dict[str, object]]] = {}

    def store(self, mutant: str, code: int) -> None:
        """Store the exit code of a mutant."""
        path = Path(mutant.rpartition(".")[0].replace(".", "/") + ".py.meta")
        found = self._files.setdefault(path, json.loads(path.read_text()))
        assert mutant in found["exit_code_by_key"], mutant
        found["exit_code_by_key"][mutant] = code
        whole = path.with_suffix(".new")
        whole.write_text(json.dumps(found, indent=4))
        whole.replace(path)  # so that an interrupted run loses nothing


class Forks:
    """A plugin that runs mutants in place of the tests of its session."""

    def __init__(self, mutants: list[str]) -> None:
        self._mutants = mutants
        stats = json.loads(Path("mutmut-stats.json").read_text())
        self._tests: dict[str, list[str]] = stats["tests_by_mangled_function_name"]
        self._seconds: dict[str, float] = stats["duration_by_test"]
        self._noticed: dict[str, Counter[str]] = defaultdict(Counter)  # by function; of all under ""
        self._results = Results()

    def pytest_configure(self) -> None:
        """Look for no smaller example where one fails, as any one will do."""
        from hypothesis import Phase, settings  # not before pytest has started: it rewrites its assertions

        phases = [Phase.explicit, Phase.generate]
        settings.register_profile("mutants", deadline=None, database=None, derandomize=True, phases=phases)
        settings.load_profile("mutants")  # in place of the one that conftest.py loads

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all mutants, some at a time."""
        items = {item.nodeid: item for item in session.items}
        running: dict[int, tuple[str, float]] = {}
        for item in {item.path: item for item in session.items}.values():  # what these load, forks need not load
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        if session.testsfailed:
            pytest.exit("A test fails without any mutant.", 1)
        gc.freeze()  # forks need not look at what they only inherit
        for mutant in self._mutants:
            tests = self._ranked(mutant, items)
            if not tests:
                self._results.store(mutant, UNTESTED)
                continue
            while len(running) >= CHILDREN:
                self._wait(running)
            limit = time.monotonic() + _SECONDS + 10 * sum(self._seconds[test.nodeid] for test in tests)
            if (child := os.fork()) == 0:
                self._test(mutant, tests)
            running[child] = mutant, limit
        while running:
            self._wait(running)
        return True

    def _ranked(self, mutant: str, items: dict[str, pytest.Item]) -> list[pytest.Item]:
        """The tests of the mutant's function in the order in which they run."""
        function = _function(mutant)
        here, anywhere = self._noticed[function], self._noticed[""]
        names = [name for name in self._tests.get(function, ()) if name in items]
        return [items[name] for name in sorted(names, key=lambda n: (-here[n], -anywhere[n], self._seconds[n], n))]

    def _test(self, mutant: str, tests: list[pytest.Item]) -> NoReturn:
        """In a fork: run tests until one fails, and leave its name."""
        session, folder = tests[0].session, _TEMPORARY / f"mutant-{os.getpid()}"
        folder.mkdir()
        session.config._tmp_path_factory._basetemp = folder  # type: ignore[attr-defined]
        session.config.pluginmanager.unregister(name="terminalreporter")
        set_mutant_under_test(mutant)
        for test, following in zip(tests, [*tests[1:], None], strict=True):
            session.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
            if session.testsfailed:
                (folder / "noticed").write_text(test.nodeid)
                os._exit(KILLED)
        os._exit(SURVIVED)

    def _wait(self, running: dict[int, tuple[str, float]]) -> None:
        """Wait for one of the forks, and store its result."""
        while True:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child:
                break
            time.sleep(0.01)
            for late in [pid for pid, (_, limit) in running.items() if time.monotonic() > limit]:
                os.kill(late, signal.SIGKILL)
        mutant, _ = running.pop(child)
        code, folder = os.waitstatus_to_exitcode(status), _TEMPORARY / f"mutant-{child}"
        self._results.store(mutant, TIMEOUT if code == -signal.SIGKILL else code)
        if (noticed := folder / "noticed").exists():
            self._noticed[_function(mutant)][noticed.read_text()] += 1
            self._noticed[""][noticed.read_text()] += 1
        shutil.rmtree(folder, ignore_errors=True)
        sys.__stderr__.write({KILLED: ".", SURVIVED: "S"}.get(code, "!"))  # type: ignore[union-attr]
        sys.__stderr__.flush()  # type: ignore[union-attr]


def _function(mutant: str) -> str:
    return mutant.rpartition("__mutmut_")[0]


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    set_mutant_under_test("")
    metadata.entry_points = cache(metadata.entry_points)  # each instance of a test looks for plugins
    code = pytest.main(
        ["--rootdir=.", "-q", "--tb=no", "--timeout=45", *sys.argv[1:]], plugins=[Forks(sys.stdin.read().split())]
    )
    sys.exit(code)
