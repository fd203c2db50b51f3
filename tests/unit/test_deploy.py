"""deploy/ is sound as far as it can be told without a container engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from streamrec import settings
from streamrec.apps.built_in import built_in
from streamrec.cli.app import app
from streamrec.infra.processes.apache_kafka import kafka_version, resolve_jars
from tests.harness.servers import KAFKA_CACHE, new_apache_kafka

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
KNOWN_SETTINGS = {described.name for described in settings.describe(settings.Settings())}
TRAINERS = ("trainer", "copy", "replies-trainer")
PINNED = re.compile(r"[a-z0-9/_-]+:v?\d+\.\d+[a-z0-9.-]*$")


def dockerfile() -> list[tuple[str, str]]:
    """Instructions in order, continuation lines joined, comments dropped."""
    text = (DEPLOY / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines()]


def arguments(instruction: str) -> list[str]:
    return [rest for name, rest in dockerfile() if name == instruction]


def final_stage() -> list[tuple[str, str]]:
    instructions = dockerfile()
    last = max(i for i, (name, _) in enumerate(instructions) if name == "FROM")
    return instructions[last:]


# ---------------------------------------------------------------------- compose


def test_the_loop_has_all_its_parts() -> None:
    ours = {"topics", "features", *TRAINERS, "serving", "replies", "gateway"}
    assert set(OURS) == ours
    assert {name for name in ours if "profiles" in OURS[name]} == {
        "copy",
        "replies",
        "replies-trainer",
    }, "what not everybody wants"
    assert set(SERVICES) == {"kafka", "redis", "prometheus", "grafana", *ours}
    assert OURS["features"]["deploy"]["replicas"] >= 2
    assert OURS["serving"]["deploy"]["replicas"] >= 2
    for name in TRAINERS:
        assert "deploy" not in OURS[name], "one trainer alone writes a task's generations"


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_runs_a_command_that_exists(name: str) -> None:
    command: Any = typer.main.get_command(app)
    words, _, task = " ".join(OURS[name]["command"]).partition(" --task ")
    assert not task or built_in(task)
    for word in words.split():
        assert word in command.commands, f"streamrec has no command {word!r} here"
        command = command.commands[word]
    assert not hasattr(command, "commands"), "a group of commands is not a command"


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_s_settings_are_accepted(name: str) -> None:
    environment = OURS[name]["environment"]
    loaded = settings.load(environment)
    assert loaded.kafka.bootstrap.split(":")[0] in SERVICES
    assert loaded.redis.url.removeprefix("redis://").split(":")[0] in SERVICES


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_images_are_pinned_and_name_no_registry(name: str) -> None:
    image = SERVICES[name]["image"]
    assert PINNED.fullmatch(image), image
    assert "." not in image.split("/")[0].split(":")[0], "a host name before the image"


def test_kafka_is_the_version_that_the_tests_run_against() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_redis_keeps_what_it_is_given() -> None:
    options = SERVICES["redis"]["command"]
    assert options[options.index("--appendonly") + 1] == "yes"
    assert options[options.index("--maxmemory-policy") + 1] == "noeviction"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_named_volumes_and_dependencies_are_declared(name: str) -> None:
    service = SERVICES[name]
    for place in (volume.split(":")[0] for volume in service.get("volumes", ())):
        assert place in COMPOSE["volumes"] or (place.startswith("./") and (DEPLOY / place).is_dir())
    for other, how in service.get("depends_on", {}).items():
        assert other in SERVICES
        if how["condition"] == "service_healthy":
            assert SERVICES[other]["healthcheck"]["test"]


def test_everything_that_must_survive_has_a_volume() -> None:
    used = {
        volume.split(":")[0] for each in SERVICES.values() for volume in each.get("volumes", ())
    }
    assert {name for name in used if not name.startswith("./")} == set(COMPOSE["volumes"])
    for name in (*TRAINERS, "gateway"):
        assert f"{name}:/var/lib/streamrec/state" in OURS[name]["volumes"]
    for name in (*TRAINERS, "serving", "replies"):
        assert "registry:/var/lib/streamrec/registry" in OURS[name]["volumes"]


def test_nothing_listens_beyond_this_host() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{port} is open to the network"


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_of_ours_has_no_rights_and_writes_only_to_volumes(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_gateway_listens_in_its_container() -> None:
    gateway = OURS["gateway"]
    loaded = settings.load(gateway["environment"])
    assert loaded.gateway.host == "0.0.0.0"
    assert gateway["ports"] == [f"127.0.0.1:8080:{loaded.gateway.port}"]


@pytest.mark.apache_kafka
def test_apache_kafka_accepts_the_compose_file_s_properties(tmp_path: Path) -> None:
    new_apache_kafka(tmp_path)  # skips where there is no Java
    environment = dict(SERVICES["kafka"]["environment"])
    cluster_id = environment.pop("CLUSTER_ID")
    environment["KAFKA_LOG_DIRS"] = str(tmp_path / "log")
    config = tmp_path / "server.properties"
    config.write_text(
        "".join(
            f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={value}\n"
            for name, value in environment.items()
        )
    )
    jars = resolve_jars(KAFKA_CACHE)
    done = subprocess.run(
        [
            *("java", "-cp", str(jars / "*"), "kafka.tools.StorageTool", "format"),
            *("--cluster-id", cluster_id, "--config", str(config)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert cluster_id in (tmp_path / "log" / "meta.properties").read_text()


def test_compose_itself_reads_the_file() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(
            ["docker", "compose", "version"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("docker compose not found: only our own checks were made")
    done = subprocess.run(
        ["docker", "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------- Dockerfile


def test_base_images_are_pinned_and_the_same() -> None:
    images = [rest.split()[0] for rest in arguments("FROM")]
    assert len(images) == 2, "one stage builds, one runs"
    assert len(set(images)) == 1
    assert PINNED.fullmatch(images[0]), images[0]


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    rules = (DEPLOY / "Dockerfile.dockerignore").read_text().split("\n")
    let_through = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = set()
    for rest in arguments("COPY"):
        if not rest.startswith("--from="):
            copied |= set(rest.split()[:-1])
    assert copied == let_through
    assert sorted(each for each in copied if not (REPOSITORY / each).exists()) == []
    assert any(fnmatch("streamrec/__pycache__", rule) for rule in rules)


def test_the_image_runs_as_a_plain_user() -> None:
    """By number: Kubernetes cannot see that a name is not root."""
    stage = [name for name, _ in final_stage()]
    (user,) = [rest for name, rest in final_stage() if name == "USER"]
    assert user == "10001:10001", "as in the chart"
    assert stage.index("USER") > max(i for i, name in enumerate(stage) if name == "RUN")
    assert stage.index("USER") < stage.index("ENTRYPOINT")
    runs = " ".join(rest for name, rest in final_stage() if name == "RUN")
    assert "groupadd --system --gid 10001 streamrec" in runs
    assert "useradd --system --uid 10001 --gid 10001" in runs


def test_the_image_s_entry_point_and_health_check_are_ours() -> None:
    stage = dict(final_stage())
    assert json.loads(stage["ENTRYPOINT"]) == ["streamrec"]
    _, check = stage["HEALTHCHECK"].split("CMD ")
    loaded = settings.load(image_settings())
    assert f"127.0.0.1:{loaded.metrics.port}/healthz" in json.loads(check)[-1]
    compile(json.loads(check)[-1], "HEALTHCHECK", "exec")
    assert stage["EXPOSE"].split() == ["8080", str(loaded.metrics.port)]


def image_settings() -> dict[str, str]:
    return dict(re.findall(r"(STREAMREC_\w+)=(\S+)", dict(final_stage())["ENV"]))


def test_the_image_s_settings_exist_and_point_at_its_volumes() -> None:
    named = image_settings()
    assert set(named) <= KNOWN_SETTINGS
    places = {path for path in named.values() if path.startswith("/")}
    assert places == set(json.loads(dict(final_stage())["VOLUME"]))


def test_the_build_installs_the_lock_with_hashes() -> None:
    builds = " ".join(arguments("RUN"))
    assert "--require-hashes wanted.lock" in builds
    assert "--no-deps" in builds


def test_without_cuda_the_build_leaves_out_what_only_cuda_s_torch_needs() -> None:
    builds = " ".join(arguments("RUN"))
    (program,) = re.findall(r"awk '([^']*)' requirements.lock", builds)
    lock = REPOSITORY / "requirements.lock"
    kept = subprocess.run(["awk", program, lock], capture_output=True, text=True, check=True)
    left_out = packages(lock.read_text()) - packages(kept.stdout)
    assert {name for name in left_out if name.startswith(("nvidia-", "cuda-"))} == {
        name for name in packages(lock.read_text()) if name.startswith(("nvidia-", "cuda-"))
    }
    assert {name for name in left_out if not name.startswith(("nvidia-", "cuda-"))} == {
        "torch",
        "triton",
    }
    assert kept.stdout.count("--hash=") > 100, "the others with their hashes"


def packages(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE))
