"""The documentation as tests read it: pages, their code blocks, and pages run as one shell script against a server."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import forked

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv/bin"

_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*?) -->\n+)?```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_SERVE = "crm serve"
_STARTED = """crm serve > serve.out 2> serve.err & server=$!
trap 'kill "$server"; wait "$server"' EXIT
for _ in $(seq 600); do
  grep -q serves serve.out && break
  kill -0 "$server" || { cat serve.err; exit 1; }
  sleep 0.1
done
"""


@dataclass(frozen=True)
class Block:
    """A fenced block; ``mark`` is what the comment right above it says, such as ``not run: why``."""

    page: str
    line: int
    language: str
    text: str
    mark: str

    @property
    def runs(self) -> bool:
        """Whether the page promises that the block runs."""
        return not self.mark.startswith("not run: ")


def pages() -> list[Path]:
    """The pages at the top level, and every page of docs/."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def page(name: str) -> str:
    """The text of a page by its path in the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """The text under a heading, up to the next of its level or above. Raises ValueError if there is no such heading."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"there is no heading {heading!r}")
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", _FENCED.sub(_blanks, rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def headings(text: str) -> list[str]:
    """The headings of a page, without their marks."""
    return re.findall(r"^#+ (.+)$", _FENCED.sub(_blanks, text), re.MULTILINE)


def _blanks(block: re.Match[str]) -> str:
    """So many characters, none of which is a heading's."""
    return re.sub(r"[^\n]", " ", block[0])


def blocks(name: str, *languages: str) -> list[Block]:
    """The fenced blocks of a page, of these languages, in order."""
    text = page(name)
    return [
        Block(
            name,
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["text"],
            found["mark"] or "",
        )
        for found in _BLOCK.finditer(text)
        if found["language"] in languages
    ]


def run_page(name: str, folder: Path, port: int, *, before: str = "", after: str = "", **environ: str) -> str:
    """Run the shell blocks of a page as one script, its server in the background; what the script printed.

    The page's port 8000 becomes ``port``, in the blocks and in the files that ``crm init`` writes.
    """
    script, at = before, f"127.0.0.1:{port}"
    for block in blocks(name, "bash"):
        if not block.runs:
            continue
        text = block.text.replace("127.0.0.1:8000", at)
        text = re.sub(r"^make ", "make --old-file=.venv/.installed ", text, flags=re.MULTILINE)
        if re.search(r"^crm push ", text, re.MULTILINE) and "\ncrm keys " in script:
            script += "sleep 5\n"  # by then the server has read the keys that commands have just written
        script += _STARTED if text.strip() == _SERVE else text
        if re.search(r"^crm init ", text, re.MULTILINE):
            script += f"sed -i 's/127.0.0.1:8000/{at}/' config/instance.yaml\n"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script + after],
        cwd=folder,
        env={**environment(), **environ},
        capture_output=True,
        text=True,
        timeout=240,  # a story of fifty commands on a machine that has other things to do
        check=False,
    )
    assert done.returncode == 0, f"{name} does not run as it is:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def environment() -> dict[str, str]:
    """An environment with the crm command, and without our settings."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
    return {**others, "PATH": f"{forked.crm().parent}:{BIN}:{others['PATH']}"}


def checkout(folder: Path) -> Path:
    """A folder that looks like a clone in which ``make setup`` has run."""
    clone = folder / "clone"
    clone.mkdir()
    for name in ("Makefile", "pyproject.toml", ".venv"):
        (clone / name).symlink_to(ROOT / name)
    return clone
