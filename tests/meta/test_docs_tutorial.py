from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from doc_pages import BIN, blocks, run_page
from free_ports import free_port

NAME = "docs/tutorial.md"
# The page's files replace the generated ones after these have passed their tests.
BEFORE = """
export PATH="$PWD/.venv/bin:$PATH"
exec 2>&1
python() {
  command python "$@" || return
  if [ "$*" = "-m pytest -q" ]; then cp -r ../../files/. .; fi
}
"""
AFTER = """
cd shipping && unzip -l dist/*.whl | grep -c payload_type.py && cd ..
grep -rl not-a-real-key config tenants serve.err || echo the secret is in no file
kill "$server"; wait "$server"; trap - EXIT
python -m pip uninstall --quiet --yes shipping
sed -i /^shipping:/d config/instance.yaml
crm tenant show northwind
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with an environment that sees this project's packages and installs into itself, and the files.

    It replaces the block that installs from the network.
    """
    acme = tmp_path / "acme"
    venv = acme / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "around.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    command = (BIN / "crm").read_text().partition("\n")[2]
    (venv / "bin/crm").write_text(f"#!{venv}/bin/python\n{command}")
    (venv / "bin/crm").chmod(0o755)
    for block in blocks(NAME, "python", "toml"):
        file = tmp_path / "files" / block.mark.removeprefix("file: ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)
    return acme


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_tutorial_leads_to_an_installed_plugin_that_is_pushed_to(folder: Path) -> None:
    """Every command, in order, with the page's files: tests pass, the wheel is found, pushes do what the page says."""
    output = run_page(
        NAME,
        folder,
        free_port(),
        before=BEFORE,
        after=AFTER,
        PIP_NO_INDEX="1",
        PIP_NO_BUILD_ISOLATION="0",  # pip reads it as the value of build_isolation
        PIP_DISABLE_PIP_VERSION_CHECK="1",
    )
    for block in blocks(NAME, "text")[1:]:
        for line in block.text.splitlines():
            assert line in output
    assert "passed" in output
    assert "/data/carrier: This instance ships by post, pickup only. (invalid_value)" in output
    assert "an amount such as 49.00" in output
    assert "(api_key_required)" in output
    assert "{'carrier': 'post', 'account': 'northwind', 'free_from': '49.00', 'api_key': {'set': True}}" in output
    assert output.count("rejected   shipping v3") == output.count("applied    shipping v") == 2
    assert "the secret is in no file" in output
    assert "northwind: revision 2, store ok\n  shipping: version 2" in output, "it opens without the plugin too"
