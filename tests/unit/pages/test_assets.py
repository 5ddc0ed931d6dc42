from __future__ import annotations

import json
import re

from crm_core.language import Languages
from crm_core.web.pages.layout.assets import Assets


def test_scripts_have_a_catalogue_for_each_other_language() -> None:
    """The German one has the scripts' messages alone, with its plurals; English needs none."""
    assets = Assets(Languages().by_tag.values())
    german = assets.get("catalogue-de.js")
    assert german is not None
    assert german.media_type.startswith("text/javascript")
    found = re.fullmatch(
        r"self\.catalogue = \{texts: (.*), plural: \(n\) => Number\(\(n != 1\)\)\};", german.content.decode()
    )
    assert found is not None
    texts = json.loads(found[1])
    assert texts["Copied"] == "Kopiert"
    assert texts["Show {n} change"] == ["{n} Änderung zeigen", "{n} Änderungen zeigen"]
    assert "Users" not in texts
    assert assets.get("catalogue-en.js") is None
