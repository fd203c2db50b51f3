"""Settings: where each comes from, and what is said of those that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamrec import settings
from streamrec.errors import SettingsError
from streamrec.lab.recipes.names import METHODS, TRAINING
from streamrec.settings import KafkaSettings, Settings, TrainerSettings, TrustSettings
from streamrec.settings.names import every
from streamrec.settings.reading import read
from streamrec.settings.retired import RENAMED, RETIRED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a `.env` and a `streamrec.toml`."""
    (tmp_path / ".env").write_text(
        "PATH=elsewhere\nexport STREAMREC_SERVING_K=7\nSTREAMREC_REDIS_KEY_PREFIX='of env'\n"
    )
    (tmp_path / "streamrec.toml").write_text(
        'log_level = "DEBUG"\n[serving]\nk = 8\nexplore = 0.1\n[redis]\nkey_prefix = "of toml"\n'
    )
    return tmp_path


def problems(environ: dict[str, str], folder: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refusal:
        settings.load(environ, folder)
    return refusal.value.problems


def toml_problems(folder: Path, text: str) -> tuple[str, ...]:
    (folder / "streamrec.toml").write_text(text)
    return problems({}, folder)


def test_the_environment_wins_then_dotenv_then_the_file_then_the_default(folder: Path) -> None:
    found = settings.load({"STREAMREC_SERVING_K": "6"}, folder)
    assert found.serving.k == 6
    assert found.redis.key_prefix == "of env"
    assert (found.serving.explore, found.log_level) == (0.1, "DEBUG")
    assert found.kafka == KafkaSettings()


def test_where_each_came_from(folder: Path) -> None:
    assert read({"STREAMREC_SERVING_K": "6"}, folder).sources == {
        "serving_k": "environment",
        "redis_key_prefix": ".env",
        "serving_explore": "streamrec.toml",
        "log_level": "streamrec.toml",
    }


def test_an_environment_that_stands_in_stands_for_the_files_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert settings.load({}) == Settings()
    assert settings.load().redis.key_prefix == "of env"


def test_a_child_has_the_settings_of_its_parent_whatever_files_say(folder: Path) -> None:
    given = Settings(trust=TrustSettings(pseudonym_key="hush"), state_dir=folder)
    assert settings.load(settings.environment(given), folder) == given


def test_the_encoder_has_a_short_name() -> None:
    assert settings.load({"STREAMREC_ENCODER": "some/model"}).encoder.model == "some/model"
    both = {"STREAMREC_ENCODER": "some/model", "STREAMREC_ENCODER_MODEL": "some/model"}
    assert settings.load(both).encoder.model == "some/model"


def test_two_names_with_two_values_are_refused() -> None:
    both = {"STREAMREC_ENCODER": "some/model", "STREAMREC_ENCODER_MODEL": "another/model"}
    with pytest.raises(SettingsError, match="are the same setting and differ"):
        settings.load(both)


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("CANARY_SHARE", "1", "1 is above 0.9"),
        ("SERVING_K", "0", "0 is below 1"),
        ("SERVING_K", "many", "'many' is not a whole number"),
        ("SERVING_K", "", "'' is not a whole number"),
        ("SERVING_EXPLORE", "nan", "'nan' is not a number"),
        ("CANARY_SHOWN_ONLY", "perhaps", "'perhaps' is not true or false"),
        ("ENCODER_POOLING", "max", "'max' is none of auto, mean, cls, last"),
    ],
)
def test_a_variable_with_an_impossible_value(name: str, value: str, wrong: str) -> None:
    assert problems({f"STREAMREC_{name}": value}) == (f"environment: STREAMREC_{name}: {wrong}",)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('[serving]\nk = "ten"', "serving.k: 'ten' is not a whole number"),
        ("[serving]\nk = true", "serving.k: True is not a whole number"),
        ("[serving]\nk = [1]", "serving.k: [1] is not a whole number"),
        ("[redis]\nurl = 6379", "redis.url: 6379 is not text"),
        ("[redis]\nurl = {}", "redis.url: {} is not text"),
        (
            "[encoder]\nadapter = ['lora']",
            "encoder.adapter: ['lora'] is none of lora, dora, full, none",
        ),
        ("state_dir = 1", "state_dir: 1 is not a path"),
        ("[redis]\npassword = 17", "redis.password: it is not text"),
        ("[canary]\nshare = 1", "canary.share: 1 is above 0.9"),
    ],
)
def test_a_file_with_a_value_of_the_wrong_type(tmp_path: Path, text: str, wrong: str) -> None:
    assert toml_problems(tmp_path, text) == (f"streamrec.toml: {wrong}",)


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    (problem,) = toml_problems(tmp_path, "[serving\nk = 1")
    assert problem.startswith("streamrec.toml: ")
    assert "line 1" in problem


def test_an_unknown_name_is_told_with_the_nearest_in_each_source(folder: Path) -> None:
    (folder / ".env").write_text("STREAMREC_REDIS_KEYPREFIX=x\nOTHER=1\n")
    (folder / "streamrec.toml").write_text("zzz = 1\n[servign]\nk = 1\n[redis]\nulr = ''\n")
    assert problems({"STREAMREC_SREVING_K": "5", "STREAMREC_QQQ": ""}, folder) == (
        "environment: STREAMREC_QQQ: no such setting",
        "environment: STREAMREC_SREVING_K: no such setting; did you mean STREAMREC_SERVING_K?",
        ".env: STREAMREC_REDIS_KEYPREFIX: no such setting; did you mean "
        "STREAMREC_REDIS_KEY_PREFIX?",
        "streamrec.toml: zzz: no such setting",
        "streamrec.toml: servign.k: no such setting; did you mean serving.k?",
        "streamrec.toml: redis.ulr: no such setting; did you mean redis.url?",
    )


def test_all_problems_at_once(folder: Path) -> None:
    (folder / ".env").write_text("STREAMREC_SERVING_K=0\n")
    (folder / "streamrec.toml").write_text("[canary]\nshare = 1\n[redis]\nulr = ''\n")
    wrong = {
        "STREAMREC_KAFKA_PARTITIONS": "four",
        "STREAMREC_NO": "1",
        "STREAMREC_REDIS_PASSWORD_FILE": "/nowhere",
    }
    found = problems(wrong, folder)
    assert [at.split(":")[:2] for at in found] == [
        ["environment", " STREAMREC_NO"],
        ["environment", " STREAMREC_REDIS_PASSWORD_FILE"],
        ["streamrec.toml", " redis.ulr"],
        ["environment", " STREAMREC_KAFKA_PARTITIONS"],
        [".env", " STREAMREC_SERVING_K"],
        ["streamrec.toml", " canary.share"],
    ]


def test_a_wrong_value_that_another_source_outdoes_does_not_matter(folder: Path) -> None:
    (folder / "streamrec.toml").write_text("[serving]\nk = 'ten'\n")
    assert settings.load({}, folder).serving.k == 7


def test_secrets_are_read_from_files_that_any_source_names(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("hush\n")
    (tmp_path / "two").write_text("quiet\n")
    (tmp_path / ".env").write_text(f"STREAMREC_KAFKA_SASL_PASSWORD_FILE={tmp_path / 'two'}\n")
    (tmp_path / "streamrec.toml").write_text(
        f"[redis]\npassword_file = '{tmp_path / 'one'}'\n[kafka]\nsasl_password = 'of the file'\n"
    )
    found = read({}, tmp_path)
    assert (found.settings.redis.password, found.settings.kafka.sasl_password) == ("hush", "quiet")
    assert found.sources == {"redis_password": "streamrec.toml", "kafka_sasl_password": ".env"}


def test_secrets_are_shown_nowhere() -> None:
    found = settings.load({"STREAMREC_REDIS_PASSWORD": "hush"})
    shown = repr(found) + repr(settings.describe(found))
    assert "hush" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("TRAINER_STAGE_TIMEOUT_S", "is called STREAMREC_TRAINER_SWAP_TIMEOUT_S now"),
        (
            "LEARNING_FGM",
            "no longer a setting: now a recipe, streamrec train --recipe fgm",
        ),
        ("INGEST_RUN_EVENTS", "no longer a setting: it is always 500"),
        (
            "GUARD_LOOKS",
            "no longer a setting: it is always 5; STREAMREC_GUARD_WATCH_S=0 turns the guard off",
        ),
    ],
)
def test_a_setting_of_an_earlier_version_is_told_where_it_went(name: str, says: str) -> None:
    assert problems({f"STREAMREC_{name}": "1"}) == (f"environment: STREAMREC_{name}: {says}",)


@pytest.mark.parametrize("name", ["adalora", "ia3", "last-layers", "prefix"])
def test_an_adapter_method_that_is_a_recipe_now_is_told_so(name: str) -> None:
    (problem,) = problems({"STREAMREC_ENCODER_ADAPTER": name})
    assert problem.endswith(f"now a recipe: streamrec train --recipe {name}")
    assert name in METHODS


def test_every_recipe_that_is_named_exists() -> None:
    named = [retired.recipe for retired in RETIRED.values() if retired.recipe]
    assert named
    assert set(", or ".join(named).split(", or ")) == set(TRAINING)


def test_a_file_is_told_in_its_own_words(tmp_path: Path) -> None:
    text = "[trainer]\nstage_timeout_s = 3\n[learning]\nfgm = 0.1\n"
    assert toml_problems(tmp_path, text) == (
        "streamrec.toml: trainer.stage_timeout_s: is called trainer.swap_timeout_s now",
        "streamrec.toml: learning.fgm: no longer a setting: now a recipe, streamrec train "
        "--recipe fgm",
    )


def test_nothing_is_both_a_setting_and_none() -> None:
    now = {name.key for name in every()}
    assert not now & (RETIRED.keys() | RENAMED.keys())
    assert set(RENAMED.values()) <= now


def test_what_is_no_setting_has_the_value_that_is_said() -> None:
    usual = Settings()
    for key, retired in RETIRED.items():
        group, _, name = key.partition("_")
        assert getattr(getattr(usual, group), name, retired.value) == retired.value, key


def test_what_an_earlier_version_wrote_down_is_understood() -> None:
    recorded = {"stage_timeout_s": 9.0, "gate_max_kl": 1.0, "gate_s": 10.0}
    assert settings.known_now("trainer", recorded) == {"swap_timeout_s": 9.0, "gate_s": 10.0}
    assert settings.known_now("trainer", {"gate_max_kl": 0.1}) == {"gate_max_kl": 0.1}


def test_what_no_setting_says_is_not_handed_on() -> None:
    with pytest.raises(ValueError, match="handed on"):
        settings.environment(Settings(trainer=TrainerSettings(seed=3)))
