"""Every relative link in a Markdown file leads somewhere."""

import re
from pathlib import Path

import pytest

from tests.support import ROOT

CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"""\]\(\s*<?([^)\s>]+)|^\[[^\]]+\]:\s*(\S+)|(?:href|src|srcset)=["']([^"']+)""", re.MULTILINE)
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("dbt/*.md"), *ROOT.glob("benchmarks/*.md")]


def anchors_of(text: str) -> set[str]:
    """The names that GitHub gives to headings."""
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for found in LINK.findall(CODE.sub("", page.read_text())):
        link = "".join(found)
        name, _, anchor = link.partition("#")
        target = (page.parent / name if name else page).resolve()
        if re.match(r"[a-z]+:", link):
            continue
        is_there = target.exists() and target.is_relative_to(ROOT)
        if not is_there or (anchor and target.suffix == ".md" and anchor not in anchors_of(target.read_text())):
            broken.append(link)
    assert broken == []
