"""The documentation: it builds without a warning, and names what there is."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer

import wwopt
from wwopt.cli.app import app

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; every warning, such as a broken link between pages, is an error."""
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        str(ROOT / "docs"),
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Links(HTMLParser):
    """Addresses and anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag in ("a", "img", "link", "script"):
            self.links.append(found.get("href") or found.get("src") or "")


@pytest.mark.slow
def test_every_link_within_the_site_leads_somewhere(site):
    """Pages, pictures and anchors exist, also those of the API."""
    pages = {path.resolve(): Links(path) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            address, _, anchor = link.partition("#")
            if ":" in address:
                continue
            target = (path.parent / address.partition("?")[0]).resolve() if address else path
            assert target.exists(), f"{path.name}: {link}"
            if anchor and target in pages:
                assert anchor in pages[target].anchors, f"{path.name}: {link}"


@pytest.mark.slow
def test_the_reference_holds_the_public_names(site):
    """What `wwopt` exports has its entry."""
    anchors = Links(site / "reference" / "wwopt.html").anchors
    assert {f"wwopt.{name}" for name in wwopt.__all__} <= anchors


def test_every_command_is_listed():
    """The commands' page and the README name each command."""
    for page in ("docs/commands.md", "README.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for command in typer.main.get_command(app).commands:
            assert f"`wwopt {command}" in text, (page, command)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    """A source file or a room that a page names is there, from the root or from a package's folder."""
    named = re.findall(
        r"`((?:[\w-]+/)+[\w-]+\.(?:py|html)|(?:wwopt|objectives|trackers)/[\w/-]*)`", page.read_text(encoding="utf-8")
    )
    folders = (ROOT, *(ROOT / "objectives").glob("*"), *(ROOT / "trackers").glob("*"))
    assert [name for name in named if not any((folder / name).exists() for folder in folders)] == []


def test_links_of_the_readme_lead_somewhere():
    """Relative links of the README and of CONTRIBUTING exist."""
    from markdown_it import MarkdownIt

    for page in ("README.md", "CONTRIBUTING.md"):
        tokens = MarkdownIt().parse((ROOT / page).read_text(encoding="utf-8"))
        inline = [child for token in tokens for child in token.children or ()]
        links = [str(child.attrs.get("href") or child.attrs.get("src") or "#") for child in inline]
        for link in links:
            if ":" not in link and not link.startswith("#"):
                assert (ROOT / link.partition("#")[0]).exists(), f"{page}: {link}"
