from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from crm_core.plugin.signature import SignatureScheme
from crm_core.testing.signature import KEY, OTHER_KEY, accepts, push_request, with_headers
from crm_rfc9421.scheme import MessageSignatures
from crm_standard_webhooks.scheme import StandardWebhooks
from crm_sync_v1.scheme import NativeScheme

PAGE = (Path(__file__).parents[2] / "docs/signing.md").read_text()
SCHEMES = [NativeScheme, StandardWebhooks, MessageSignatures]


def snippets(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert len(found) == len(SCHEMES)
    return found


@pytest.mark.parametrize(("scheme", "snippet"), list(zip(SCHEMES, snippets("python"), strict=True)))
def test_the_python_examples_sign_what_is_accepted(scheme: type[SignatureScheme], snippet: str) -> None:
    """Each Python example on the page, run as it stands, makes a push that verifies."""
    made: dict[str, Any] = {}
    exec(snippet, made)
    plain, headers = push_request(made["body"]), made["headers"]
    assert accepts(scheme(), with_headers(plain, headers), KEY)
    assert not accepts(scheme(), with_headers(plain, headers), OTHER_KEY)


@pytest.mark.parametrize(("scheme", "snippet"), list(zip(SCHEMES, snippets("bash"), strict=True)))
def test_the_shell_examples_sign_what_is_accepted(scheme: type[SignatureScheme], snippet: str) -> None:
    """Each shell example on the page, run as it stands, makes a push that verifies."""
    script = f'set -eu\n{snippet}\nprintf \'%s\\n\' "$body" "$@"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=20)
    body, *arguments = done.stdout.splitlines()
    headers = dict(line.split(": ", 1) for line in arguments if line != "-H")
    plain = push_request(body.encode())
    assert accepts(scheme(), with_headers(plain, headers), KEY)
    assert not accepts(scheme(), with_headers(plain, headers), OTHER_KEY)
