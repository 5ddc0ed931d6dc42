"""Change the verifiers, sync and access a little at a time, and list the changes that no test close to them notices.

``python tests/mutants/run.py [PATTERN ...]`` runs the subjects one after the other, each in its own folder, and prints
a row for each module, then each survivor that ``equivalent.txt`` does not name; it exits 1 if there is one. A PATTERN
such as ``crm_core.access.signin.*`` limits it to mutants of that name. Those that a test noticed in an earlier run are
run again only if their function has changed, or if their folder in ``.mutants`` is deleted. Schemes take seconds to
minutes each, access and sync half an hour.

mutmut finds only packages in the folder that it runs in, so the plugins are copied next to the core.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple, cast

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".mutants"
EQUIVALENT = Path(__file__).with_name("equivalent.txt")


class Subject(NamedTuple):
    """Files that are mutated together, and the tests closest to them."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


PAIRS, SUITES = "tests/plugins/test_public_keys.py", "tests/plugins/test_plugin_suites.py"
SUBJECTS = {  # by the start of their mutants' names
    "crm_rfc9421": Subject(
        ("crm_rfc9421/*",),
        (*(f"tests/plugins/test_rfc9421{part}.py" for part in ("", "_fields", "_written")), PAIRS, SUITES),
    ),
    "crm_standard_webhooks": Subject(
        ("crm_standard_webhooks/*",), ("tests/plugins/test_standard_webhooks.py", PAIRS, SUITES)
    ),
    "crm_sync_v1": Subject(("crm_sync_v1/*",), ("tests/plugins/test_sync_v1.py", SUITES)),
    "crm_core.model": Subject(
        tuple(f"crm_core/model/{name}.py" for name in ("ed25519", "keys", "media_type", "signed_text", "sources")),
        (
            *(f"tests/unit/model/test_{name}.py" for name in ("ed25519", "keys", "media_type", "sources")),
            PAIRS,
            "tests/plugins/test_sync_v1.py",
        ),
    ),
    "crm_core.plugin": Subject(
        ("crm_core/plugin/signature.py", "crm_core/plugin/scheme_calls.py"),
        (
            "tests/plugins/test_sync_v1.py",
            *(f"tests/unit/plugin/test_{name}.py" for name in ("door", "scheme_calls")),
            PAIRS,
            SUITES,
        ),
    ),
    "crm_core.settings": Subject(
        tuple(f"crm_core/settings/{name}.py" for name in ("key_pairs", "roster", "secrets")),
        tuple(f"tests/unit/settings/test_{name}.py" for name in ("roster_file", "roster_public_keys", "secrets")),
    ),
    "crm_core.access": Subject(("crm_core/access/*",), ("tests/unit/access",)),
    "crm_core.sync": Subject(("crm_core/sync/*",), ("tests/unit/sync",)),
}
DESELECTED = (
    "tests/unit/sync/test_checks.py::test_the_receiver_names_every_check",  # reads the source, which mutmut copies
    "tests/unit/access/test_signin.py::test_passwords_are_argon2id_and_their_threads_give_way",  # not below nice 19
)
SENTENCES = (  # lines that are only words for people
    r'^\s*f?"[^"]* [^"]*"[,)]*$',
    r"^\s*(raise|return) (self\.)?\w+\((f?[\"'].*[\"']|_[A-Z_]+)\)( from None)?$",
    r"^\s*_log\.",
    r"gettext_noop\(|_[A-Z_]+\.format\(|^\s*\)\.format\(",
    r"^\s*\w+=\w+(, \w+=\w+)*$",  # the values in such a sentence
)
SETTINGS = {
    "do_not_mutate_patterns": SENTENCES,
    "pytest_add_cli_args": ["-p", "no:schemathesis", *(f"--deselect={test}" for test in DESELECTED)],
    "use_git_change_detection": False,
}
SHOW = """
import sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
for name in sys.argv[1:]:
    print("\\0" + get_diff_for_mutant(name))
"""  # in one process: ``mutmut show`` takes seconds for each
MUTMUT = Path(sys.executable).with_name("mutmut")
NO_MUTANT = "none"  # the name of none: mutmut makes mutants, finds the tests that call each function, and ends
FORKS = Path(__file__).with_name("forks.py")
FORKED_AGAIN = (None, 0, 33)  # not run, survived, without tests
UNDECIDED = ("not checked", "skipped")
UNNOTICED = ("survived", "no tests", "suspicious")


def prepare(work: Path, subject: Subject) -> None:
    """Copy the packages and tests, and configure mutmut for them."""
    sources = [ROOT / "crm_core", *(ROOT / "plugins").glob("crm_*"), ROOT / "tests"]
    for folder in filter(Path.is_dir, sources):
        shutil.copytree(
            folder,
            work / folder.name,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__", "browser", "benchmarks", "contract", "integration"),
        )
    settings = SETTINGS | {
        "source_paths": [folder.name for folder in sources if folder.name != "tests"],
        "only_mutate": subject.files,
        "pytest_add_cli_args_test_selection": subject.tests,
    }
    pytest = (ROOT / "pyproject.toml").read_text().partition("[tool.pytest.ini_options]")[2].partition("\n[")[0]
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (work / "pyproject.toml").write_text("\n".join(["[tool.mutmut]", *lines, "[tool.pytest.ini_options]", pytest]))


def mutmut(work: Path, *arguments: str) -> str:
    """Run a command of mutmut and return what it prints."""
    return subprocess.run([MUTMUT, *arguments], cwd=work, capture_output=True, text=True, check=False).stdout


def changes(work: Path, names: list[str]) -> dict[str, str]:
    """The lines that each mutant removes and adds, without their indentation."""
    shown = subprocess.run([sys.executable, "-c", SHOW, *names], cwd=work, capture_output=True, text=True, check=True)
    found = {}
    for name, diff in zip(names, shown.stdout.split("\0")[1:], strict=True):
        lines = (line for line in diff.splitlines() if re.match(r"[-+](?![-+]{2})", line))
        found[name] = " ".join(f"{line[0]} {line[1:].strip()}" for line in lines)
    return found


def unnoticed(work: Path, patterns: list[str]) -> list[str]:
    """The mutants of these names that no test has noticed yet."""
    codes: dict[str, int | None] = {}
    for file in work.glob("mutants/**/*.meta"):
        codes |= json.loads(file.read_text())["exit_code_by_key"]
    chosen = (name for name, code in codes.items() if code in FORKED_AGAIN)
    return [name for name in chosen if not patterns or any(fnmatch(name, pattern) for pattern in patterns)]


def test(work: Path, subject: Subject, patterns: list[str]) -> None:
    """Make the mutants of a subject, and run the tests on those that none has noticed yet."""
    prepare(work, subject)
    mutmut(work, "run", NO_MUTANT)
    arguments = [*cast("list[str]", SETTINGS["pytest_add_cli_args"]), *subject.tests]
    names = "\n".join(unnoticed(work, patterns))
    subprocess.run([sys.executable, FORKS, *arguments], cwd=work / "mutants", input=names, text=True, check=True)


def survivors(work: Path) -> list[str]:
    """Print a row for each module, and return the survivors that are not known to be equivalent."""
    known = {line.rpartition("  # ")[0] for line in EQUIVALENT.read_text().splitlines()}
    results = re.findall(r"^    (\S+): (.+)$", mutmut(work, "results", "--all", "true"), re.MULTILINE)
    changed = changes(work, [name for name, status in results if status in UNNOTICED])
    counts: dict[str, Counter[str]] = {}
    found = []
    for name, status in results:
        if status in UNDECIDED:
            continue
        module = name.rpartition(".")[0]
        equivalent = f"{module}: {changed.get(name)}" in known
        counts.setdefault(module, Counter())["equivalent" if equivalent else status] += 1
        if name in changed and not equivalent:
            found.append(f"{module}: {changed[name]}  # {status}")
    rows = [
        f"{module:40} {', '.join(f'{n} {status}' for status, n in sorted(counts[module].items()))}" for module in counts
    ]
    sys.stdout.write("\n".join([*rows, *found]) + "\n")
    return found


def main(patterns: list[str]) -> int:
    """Run each subject that a pattern names, or all."""
    found = []
    for name, subject in SUBJECTS.items():
        chosen = [pattern for pattern in patterns if pattern.startswith(name)]
        if chosen or not patterns:
            test(WORK / name, subject, chosen)
            found += survivors(WORK / name)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
