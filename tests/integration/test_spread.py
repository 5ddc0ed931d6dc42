from __future__ import annotations

import subprocess
import sys

import pytest

from doc_pages import ROOT

FILES = {
    "conftest.py": "pytest_plugins = ('spread',)\n",
    "test_first.py": """
import os, pathlib, pytest

@pytest.fixture(scope="module")
def shared():
    yield os.getpid()
    print("the fixture has ended")

def test_passes(shared, tmp_path):
    assert shared == os.getpid() != int(os.environ["COLLECTED"])
    assert tmp_path.parent.name.startswith("process-")

def test_fails(shared):
    print("printed before")
    assert shared == 0, "the number differs"

@pytest.mark.skip(reason="not today")
def test_is_skipped(): ...
""",
    "test_ends.py": """
import os, sys, warnings

def test_before(): ...

def test_ends_the_process():
    os._exit(7)

def test_after():
    warnings.warn("written down", UserWarning)
""",
}


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output of a run in two processes, with a test that passes, one that fails and one that ends its process."""
    folder = tmp_path_factory.mktemp("spread")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    settings = f"pythonpath = {ROOT / 'tests'}\nasyncio_default_fixture_loop_scope = function\n"
    (folder / "pytest.ini").write_text(f"[pytest]\n{settings}")
    run = "import os, pytest; os.environ['COLLECTED'] = str(os.getpid()); raise SystemExit(pytest.main())"
    words = ["-q", "-rA", "-p", "no:cacheprovider", "--processes", "2", f"--basetemp={folder / 'base'}"]
    done = subprocess.run(
        [sys.executable, "-c", run, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_each_test_is_run_and_reported_once(reported: str) -> None:
    """Every test has one result; those that a dead process has left are run by another one."""
    for line in (
        "PASSED test_first.py::test_passes",
        "PASSED test_ends.py::test_before",
        "PASSED test_ends.py::test_after",
        "SKIPPED [1] test_first.py",
    ):
        assert reported.count(line) == 1, reported
    assert "2 failed, 3 passed, 1 skipped, 1 warning" in reported


def test_a_failure_shows_what_it_would_show_in_one_process(reported: str) -> None:
    """The rewritten assertion, what the test has printed, and the warning of another test are all there."""
    assert "FAILED test_first.py::test_fails - AssertionError: the number differs" in reported
    assert "printed before" in reported
    assert "UserWarning: written down" in reported


def test_the_end_of_a_process_fails_the_test_that_ran(reported: str) -> None:
    """A test that ends its process is a failure with the exit code; the run continues."""
    assert "FAILED test_ends.py::test_ends_the_process" in reported
    assert "the process of the test ended with 7" in reported
