"""docs/configuration.md lists every setting, as it is; what it shows works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streamrec import settings
from streamrec.cli.show_settings import as_markdown
from streamrec.settings.names import PREFIX, every
from streamrec.settings.reading import read

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "configuration.md"
MENTION = re.compile(PREFIX + r"[A-Z_]*[A-Z](?![A-Z_]|\*)")


def test_the_table_is_up_to_date() -> None:
    """If not: replace the table by the output of ``streamrec settings --markdown``."""
    table = as_markdown(settings.describe(settings.load({})))
    assert PAGE.read_text().endswith(table)


def test_a_person_can_look_through_them() -> None:
    assert len(every()) < 104


def test_the_example_of_a_file_loads(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush")
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    example = example.replace("/run/secrets/kafka", str(secret))
    (tmp_path / "streamrec.toml").write_text(example)
    found = read({}, tmp_path)
    assert set(found.sources.values()) == {"streamrec.toml"}
    assert len(found.sources) == example.count(" = ")
    assert found.settings.kafka.sasl_password == "hush"
    assert found.settings.canary.share == 0.1


@pytest.mark.parametrize("page", ["README.md", "docs/*.md", "deploy/**/*", "streamrec/**/*.py"])
def test_whoever_names_a_setting_names_one_that_there_is(page: str) -> None:
    known = {name.variable for name in every()} | {"STREAMREC_ENCODER"}
    known |= {name.variable + "_FILE" for name in every() if name.secret}
    named = {
        (path.name, name)
        for path in filter(Path.is_file, ROOT.glob(page))
        for name in MENTION.findall(path.read_text(encoding="utf-8", errors="ignore"))
    }
    assert named
    assert sorted((path, name) for path, name in named if name not in known) == []
