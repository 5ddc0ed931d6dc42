from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from doc_pages import BIN, blocks, checkout, environment, page, pages, run_page
from free_ports import free_port

RUN_ELSEWHERE = {
    "docs/bootstrap.md": "tests/meta/test_docs_bootstrap.py",
    "docs/access.md": "tests/meta/test_docs_access.py",
    "docs/client.md": "tests/integration/test_kit_docs.py",
    "docs/fleet.md": "tests/meta/test_docs_fleet.py",
    "docs/keys.md": "tests/integration/test_kit_docs.py",
    "docs/manager.md": "tests/meta/test_docs_manager.py",
    "docs/signing.md": "tests/plugins/test_signing_docs.py",
    "docs/cli.md": "tests/meta/test_docs_cli.py",
    "docs/plugins.md": "tests/doc_plugins.py",
    "docs/protocol.md": "tests/meta/test_docs_protocol.py",
    "docs/records.md": "tests/meta/test_docs_records.py",
    "docs/scaling.md": "tests/meta/test_docs_scaling.py",
    "docs/storage.md": "tests/meta/test_docs_storage.py",
    "docs/tutorial.md": "tests/meta/test_docs_tutorial.py",
}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_quickstart_leads_to_a_pushed_branding(tmp_path: Path) -> None:
    """Every command of the quickstart, in their order from a clone, works, and what was pushed is seen."""
    port = free_port()
    reported = run_page("docs/quickstart.md", checkout(tmp_path), port)
    assert '{"branding":{"title":"Nordwind Reisen"' in reported
    assert "applied branding version 1 as revision 1" in reported
    assert "the chain of" in reported
    assert '"code":"signature_missing"' in reported
    assert "Rowing Club Wannsee" in reported.splitlines()[-1]
    assert (tmp_path / "hello-crm/config/keys.yaml").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_readme_runs(tmp_path: Path) -> None:
    """The README's demo starts, says what it says there, and its commands work next to it."""
    clone, port = checkout(tmp_path), free_port()
    first, other, test = blocks("README.md", "bash")
    assert (first.text, test.text) == ("make run\n", "make test\n")
    make = ["make", "--old-file=.venv/.installed"]
    with subprocess.Popen(
        [*make, "run", f"PORT={port}"],
        cwd=clone,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        try:
            reported = ""
            while "same data" not in reported:
                line = demo.stdout.readline()
                assert line, reported
                reported += line
            script = other.text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
            done = subprocess.run(
                ["bash", "-euc", script], cwd=clone, env=environment(), capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        finally:
            _interrupt(demo)
    shown = blocks("README.md", "text")[0].text
    for line in shown.splitlines():
        if line.startswith(("  applied", "  unchanged", "  refused")):
            assert line in reported
    assert "#b3261e" in done.stdout
    assert "signature_missing" in done.stdout


def test_make_test_and_make_check_are_there() -> None:
    """The README's other targets exist; running them here would run this very test again."""
    root = BIN.parents[1]
    targets = re.findall(r"(?m)(?:^|`)make ([a-z]+)", (root / "README.md").read_text())
    assert {"run", "test", "check"} <= set(targets)
    planned = [subprocess.run(["make", "-n", one], cwd=root, check=False, capture_output=True) for one in targets]
    assert [one.args for one in planned if one.returncode or not one.stdout] == []


@pytest.mark.parametrize("path", [path for path in pages() if path.name not in ("README.md", "quickstart.md")])
def test_each_example_is_run_or_says_why_not(path: Path) -> None:
    """A shell or Python block of a page is run by the page's test, or says in a comment above it that it is not run."""
    name = str(path.relative_to(BIN.parents[1]))
    found = blocks(name, "bash", "python", "sh")
    if name in RUN_ELSEWHERE:
        assert path.name in page(RUN_ELSEWHERE[name])
        return
    unexplained = [f"{name}:{block.line}" for block in found if block.runs]
    assert unexplained == [], "run them in a test that RUN_ELSEWHERE names, or say why not: <!-- not run: why -->"


def test_json_examples_are_json() -> None:
    """Each JSON block of each page is one JSON text."""
    for path in pages():
        name = str(path.relative_to(BIN.parents[1]))
        for block in blocks(name, "json"):
            try:
                json.loads(block.text)
            except ValueError as error:
                pytest.fail(f"{name}:{block.line}: {error}")


def _interrupt(demo: subprocess.Popen[str]) -> None:
    import os

    os.killpg(demo.pid, signal.SIGINT)
    try:
        demo.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(demo.pid, signal.SIGKILL)
