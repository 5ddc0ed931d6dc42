"""Change the verifiers, sync and access a little at a time, and list the changes that no unit test notices.

``python tests/mutants/run.py [PATTERN ...]`` prints a row for each module, then each survivor that ``equivalent.txt``
does not name, and exits 1 if there is one. A PATTERN such as ``crm_rfc9421.*`` limits it to mutants of that name; those
that an earlier run decided are not run again unless their function has changed. All of it takes hours.

mutmut finds only packages in the folder that it runs in, so the plugins are copied next to the core.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".mutants"
EQUIVALENT = Path(__file__).with_name("equivalent.txt")
MUTATED = ("crm_core/sync", "crm_core/access", "crm_rfc9421", "crm_standard_webhooks", "crm_sync_v1")
TESTS = (
    "tests/unit/sync",
    "tests/unit/access",
    "tests/plugins/test_rfc9421.py",
    "tests/plugins/test_rfc9421_fields.py",
    "tests/plugins/test_rfc9421_written.py",
    "tests/plugins/test_standard_webhooks.py",
    "tests/plugins/test_sync_v1.py",
    "tests/plugins/test_plugin_suites.py",
)
DESELECTED = (
    "tests/unit/sync/test_checks.py::test_the_receiver_names_every_check",  # reads the source, which mutmut copies
    "tests/unit/access/test_signin.py::test_passwords_are_argon2id_and_their_threads_give_way",  # not below nice 19
)
SENTENCES = (  # lines that are only words for people
    r'^\s*f?"[^"]* [^"]*"[,)]*$',
    r"^\s*(raise|return) (self\.)?\w+\((f?[\"'].*[\"']|_[A-Z_]+)\)( from None)?$",
    r"^\s*_log\.",
)
SETTINGS = {
    "only_mutate": [f"{each}/*" for each in MUTATED],
    "do_not_mutate_patterns": SENTENCES,
    "pytest_add_cli_args_test_selection": TESTS,
    "pytest_add_cli_args": ["-p", "no:schemathesis", *(f"--deselect={test}" for test in DESELECTED)],
    "use_git_change_detection": False,
    "timeout_multiplier": 30.0,
}
UNDECIDED = ("not checked", "skipped")
UNNOTICED = ("survived", "no tests", "suspicious")


def prepare() -> None:
    """Copy the packages and tests, and configure mutmut for them."""
    sources = [ROOT / "crm_core", *(ROOT / "plugins").glob("crm_*"), ROOT / "tests"]
    for folder in filter(Path.is_dir, sources):
        shutil.copytree(
            folder,
            WORK / folder.name,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__", "browser", "benchmarks", "contract", "integration"),
        )
    settings = SETTINGS | {"source_paths": [folder.name for folder in sources if folder.name != "tests"]}
    pytest = (ROOT / "pyproject.toml").read_text().partition("[tool.pytest.ini_options]")[2].partition("\n[")[0]
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (WORK / "pyproject.toml").write_text("\n".join(["[tool.mutmut]", *lines, "[tool.pytest.ini_options]", pytest]))


def mutmut(*arguments: str) -> str:
    """Run a command of mutmut and return what it prints."""
    program = Path(sys.executable).with_name("mutmut")
    return subprocess.run([program, *arguments], cwd=WORK, capture_output=True, text=True, check=False).stdout


def change(name: str) -> str:
    """The lines that a mutant removes and adds, without their indentation."""
    lines = (line for line in mutmut("show", name).splitlines() if re.match(r"[-+](?![-+]{2})", line))
    return " ".join(f"{line[0]} {line[1:].strip()}" for line in lines)


def main(patterns: list[str]) -> int:
    """Run mutmut, print the table and the survivors."""
    prepare()
    command = [Path(sys.executable).with_name("mutmut"), "run", "--max-children", "2", *patterns]
    subprocess.run(command, cwd=WORK, check=False)
    known = {line.partition("  # ")[0] for line in EQUIVALENT.read_text().splitlines()}
    results = re.findall(r"^    (\S+): (.+)$", mutmut("results", "--all", "true"), re.MULTILINE)
    counts: dict[str, Counter[str]] = {}
    survivors = []
    for name, status in results:
        if status in UNDECIDED:
            continue
        module = name.rpartition(".")[0]
        changed = change(name) if status in UNNOTICED else ""
        equivalent = f"{module}: {changed}" in known
        counts.setdefault(module, Counter())["equivalent" if equivalent else status] += 1
        if changed and not equivalent:
            survivors.append(f"{module}: {changed}  # {status}")
    statuses = sorted({status for each in counts.values() for status in each})
    rows = [["module", *statuses]]
    for module, found in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        rows.append([module, *(str(found[status]) for status in statuses)])
    table = [f"{row[0]:40}" + "".join(f"{cell:>12}" for cell in row[1:]) for row in rows]
    sys.stdout.write("\n".join([*table, *survivors]) + "\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
