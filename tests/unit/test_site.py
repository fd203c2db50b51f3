"""The documents as a site: every page in the navigation, no broken link, nothing of other hosts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
LINKS = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "srcset"}


class SitePage(HTMLParser):
    """The names (targets of #fragments) and links of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.names: set[str] = set()
        self.links: list[tuple[str, str, str]] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.names |= {given[name] for name in ("id", "name") if name in given}
        if link := given.get(LINKS.get(tag, "")):
            self.links.append((tag, link, given.get("class", "")))

    def local(self) -> list[tuple[str, Path, str]]:
        """Links within the site: as written, the file, the fragment."""
        found = []
        for _, link, _ in self.links:
            address, fragment = urldefrag(link)
            if not urlsplit(link).scheme and not link.startswith("//"):
                place = self.path.parent / unquote(address) if address else self.path
                found.append((link, place.resolve(), unquote(fragment)))
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "zensical.toml", folder)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"`make site` fails:\n{done.stdout}{done.stderr}"
    built = folder.resolve() / "build/site"
    return {path: SitePage(path) for path in sorted(built.rglob("*.html"))}


def pages(site: dict[Path, SitePage]) -> dict[Path, SitePage]:
    """Without the one for addresses that do not exist, whose links begin at the server's root."""
    return {path: page for path, page in site.items() if path.name != "404.html"}


def test_every_document_is_in_the_navigation(site):
    documents = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    assert len(pages(site)) == len(documents)
    named = {
        (path.parent / link).resolve()
        for path, page in pages(site).items()
        for tag, link, style in page.links
        if tag == "a" and "md-nav__link" in style and not link.startswith("#")
    }
    assert pages(site).keys() - named == set(), "name it in zensical.toml"


def leads_somewhere(site: dict[Path, SitePage], target: Path, fragment: str) -> bool:
    named = target not in site or not fragment or fragment in site[target].names
    return target.is_file() and named


def test_no_link_is_broken(site):
    broken = [
        f"{path.stem}: {link}"
        for path, page in pages(site).items()
        for link, target, fragment in page.local()
        if not leads_somewhere(site, target, fragment)
    ]
    assert broken == [], "what is not below docs/ is no page of the site: name it without a link"


def test_nothing_is_loaded_from_another_host(site):
    foreign = [
        f"{path.stem}: {link}"
        for path, page in site.items()
        for tag, link, _ in page.links
        if tag != "a" and urlsplit(link).netloc
    ]
    assert foreign == []
    drawn = [path.stem for path in site if 'class="mermaid"' in path.read_text("utf-8")]
    assert drawn == [], "mermaid would be fetched from another host: use a picture"
