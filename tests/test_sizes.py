"""The constants of docs/scaling.md are those of the pages that it names."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_each_constant_is_on_the_page_that_it_links_to() -> None:
    """A figure that was measured again is put right here, too."""
    sizes = (DOCS / "scaling.md").read_text(encoding="utf-8").partition("\n## Sizes\n")[2]
    constants = re.findall(r"^\|.*?\| \[([^]]+)\]\(([\w-]+\.md)#", sizes, re.MULTILINE)
    assert len(constants) > 6
    missing = [(text, page) for text, page in constants if text not in (DOCS / page).read_text(encoding="utf-8")]
    assert missing == []
