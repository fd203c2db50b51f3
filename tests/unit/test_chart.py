"""The Helm chart as helm renders it, against Kubernetes' own schemas and the project's own code."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import typer.main
import yaml

import streamrec
from streamrec import settings
from streamrec.apps.built_in import built_in
from streamrec.apps.rights import ROLES as KAFKA_ROLES
from streamrec.cli.app import app
from streamrec.core.topics import TOPICS
from streamrec.settings.names import every
from tests.chart import CHART, MADE
from tests.chart.table import values as values_of_the_chart
from tests.harness.servers import program
from tests.reference.markdown import cell

ROOT = Path(__file__).parents[2]
CRDS = json.loads((ROOT / "tests" / "fixtures" / "crds.json").read_text())
VALUES = sorted(path.stem for path in (CHART / "ci").glob("*.yaml"))
KUBERNETES = ("1.27", "1.37")
TRAINERS = ("trainer", "copy", "repliesTrainer")
ROLES = ("features", *TRAINERS, "serving", "replies", "gateway")
WRITABLE = {"/tmp", "/var/lib/streamrec/state"}

Document = dict[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program("helm", "REQUIRE_HELM", "tests of the chart"), *arguments]
    command += ["--kube-version", KUBERNETES[-1]]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@cache
def rendered(values: str, *changed: str) -> list[Document]:
    done = template(values, *changed)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def template(values: str, *changed: str) -> subprocess.CompletedProcess[str]:
    """``changed``: as of ``--set-json``."""
    sets = [word for each in changed for word in ("--set-json", each)]
    given = ("-f", str(CHART / "ci" / f"{values}.yaml"))
    return helm("template", "shop", str(CHART), "--namespace", "shop", *given, *sets)


def of_kind(values: str, kind: str) -> dict[str, Document]:
    """By the name's last words, after the release's."""
    found = (document for document in rendered(values) if document["kind"] == kind)
    return {each["metadata"]["name"].removeprefix("shop-streamrec-"): each for each in found}


def pods(values: str) -> Iterator[tuple[str, Document]]:
    """(role, spec) of every pod, however it is made."""
    for document in rendered(values):
        pod = document if document["kind"] == "Pod" else document.get("spec", {}).get("template")
        if pod:
            yield pod["metadata"]["labels"]["app.kubernetes.io/component"], pod["spec"]


def environment(pod: Document) -> dict[str, str]:
    (container,) = pod["containers"]
    return {each["name"]: each["value"] for each in container["env"]}


# ------------------------------------------------------------------------ as a whole


@pytest.mark.parametrize("name", MADE)
def test_what_the_chart_copies_is_up_to_date(name: str) -> None:
    assert (CHART / name).read_text("utf-8") == MADE[name](), "`python -m tests.chart` writes it"


@pytest.mark.parametrize("values", VALUES)
def test_helm_finds_no_fault(values: str) -> None:
    given = ("-f", str(CHART / "ci" / f"{values}.yaml"))
    done = helm("lint", "--strict", str(CHART), *given)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", VALUES)
def test_every_document_is_one_that_kubernetes_or_an_operator_takes(values: str) -> None:
    for document in rendered(values):
        kind = f"{document['apiVersion']} {document['kind']}"
        if kind in CRDS:
            jsonschema.validate(document, CRDS[kind])
            continue
        for version in KUBERNETES:
            kubernetes_validate.validate(document, version, strict=True)


def test_a_field_that_an_operator_does_not_have_is_found() -> None:
    made = of_kind("everything", "ScaledObject")["features"]
    made = made | {"spec": made["spec"] | {"maxReplica": 3}}
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(made, CRDS["keda.sh/v1alpha1 ScaledObject"])


def test_between_them_the_examples_use_every_operator() -> None:
    kinds = {f"{each['apiVersion']} {each['kind']}" for each in rendered("everything")}
    assert kinds >= CRDS.keys()


def test_every_value_is_used_by_a_template() -> None:
    texts = "".join(path.read_text() for path in (CHART / "templates").rglob("*.*"))
    paths = [path.split(".") for path, _, _ in values_of_the_chart() if "settings." not in path]
    assert len(paths) > 60
    assert [path for path in paths if not re.search(rf"\b{path[-1]}\b", texts)] == []


def test_the_least_that_its_readme_says_is_enough(tmp_path: Path) -> None:
    (least,) = re.findall(r"```yaml\n(.*?)```", (CHART / "README.md").read_text(), re.DOTALL)
    (tmp_path / "values.yaml").write_text(least)
    done = helm("template", "shop", str(CHART), "-f", str(tmp_path / "values.yaml"))
    assert done.returncode == 0, done.stderr
    assert 'image: "YOUR/streamrec:' in done.stdout


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == streamrec.__version__


# -------------------------------------------------------------------------- every pod


@pytest.mark.parametrize("values", VALUES)
def test_no_pod_is_root_or_writes_but_where_it_must(values: str) -> None:
    for role, pod in pods(values):
        (container,) = pod["containers"]
        whole, own = pod["securityContext"], container["securityContext"]
        assert whole["runAsNonRoot"] is True, role
        assert whole["runAsUser"] == 10001, "as in the Dockerfile"
        assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert mounts.keys() >= WRITABLE
        for path in mounts.keys() - WRITABLE:
            owner = role in {*TRAINERS, "doctor"} and path == "/var/lib/streamrec/registry"
            assert mounts[path]["readOnly"] is not owner, (role, path)


@pytest.mark.parametrize("values", VALUES)
def test_no_pod_knows_of_kubernetes_or_of_other_services(values: str) -> None:
    for role, pod in pods(values):
        assert pod["automountServiceAccountToken"] is False, role
        assert pod["enableServiceLinks"] is False, "or STREAMREC_GATEWAY_PORT is tcp://…"


@pytest.mark.parametrize("values", VALUES)
def test_every_pod_says_what_it_needs(values: str) -> None:
    for role, pod in pods(values):
        resources = pod["containers"][0]["resources"]
        assert resources["requests"].keys() >= {"cpu", "memory"}, role
        assert "memory" in resources["limits"], role


@pytest.mark.parametrize("values", VALUES)
def test_every_pod_runs_a_command_that_exists(values: str) -> None:
    for role, pod in pods(values):
        command: Any = typer.main.get_command(app)
        words, _, options = " ".join(pod["containers"][0]["args"]).partition(" --")
        if options:
            name, task = options.split()
            assert (name, built_in(task).examples.task) == ("task", task)
        for word in words.split():
            assert word in command.commands, (role, word)
            command = command.commands[word]
        assert not hasattr(command, "commands"), "a group of commands is not a command"


@pytest.mark.parametrize("values", VALUES)
def test_every_pod_s_settings_are_accepted(values: str) -> None:
    secret = {f"{name.variable}_FILE" for name in every() if name.secret}
    for role, pod in pods(values):
        found = {name: text for name, text in environment(pod).items() if name not in secret}
        loaded = settings.load(found)
        assert loaded.kafka.bootstrap, role
        assert loaded.redis.url, role
        assert loaded.registry_url, role


def test_numbers_reach_settings_as_they_were_given() -> None:
    found = environment(dict(pods("everything"))["serving"])
    assert found["STREAMREC_KAFKA_MAX_MESSAGE_BYTES"] == "2000000", "not 2e+06"
    assert found["STREAMREC_CANARY_SHARE"] == "0.1"
    assert found["STREAMREC_SERVING_K"] == "20", "a role's own"
    assert "STREAMREC_SERVING_K" not in environment(dict(pods("everything"))["features"])


@pytest.mark.parametrize("values", VALUES)
def test_probes_ask_the_process_itself(values: str) -> None:
    for role, pod in pods(values):
        if role not in ROLES:
            continue
        (container,) = pod["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        asked_at = "http" if role == "gateway" else "metrics"
        for probe, path in (
            ("startup", "/healthz"),
            ("liveness", "/healthz"),
            ("readiness", "/readyz"),
        ):
            asked = container[f"{probe}Probe"]["httpGet"]
            assert asked == {"path": path, "port": asked_at}, (role, probe)
        loaded = settings.load(
            {k: v for k, v in environment(pod).items() if not k.endswith("PASSWORD_FILE")
             and not k.endswith("PSEUDONYM_KEY_FILE")}
        )  # fmt: skip
        listens = {"metrics": loaded.metrics} | (
            {"http": loaded.gateway} if role == "gateway" else {}
        )
        assert {each.host for each in listens.values()} == {"0.0.0.0"}
        assert {name: each.port for name, each in listens.items()} == ports


def test_secrets_are_mounted_by_reference_where_they_belong() -> None:
    mounted: dict[str, set[str]] = {}
    for role, pod in pods("everything"):
        for volume in pod["volumes"]:
            for source in volume.get("projected", {}).get("sources", ()):
                (item,) = source["secret"]["items"]
                mounted.setdefault(item["path"], set()).add(role)
    assert mounted["gateway_keys_file"] == {"gateway"}
    assert mounted["trust_signing_keyfile"] == set(TRAINERS), "whoever makes generations"
    assert mounted["redis_password"] == set(ROLES)
    assert [each for each in rendered("everything") if each["kind"] == "Secret"] == []
    for _, pod in pods("everything"):
        for name in every():
            assert not (name.secret and name.variable in environment(pod)), name.variable


# ------------------------------------------------------------------- how they belong together


@pytest.mark.parametrize("values", VALUES)
def test_whatever_selects_finds_exactly_its_pods(values: str) -> None:
    labels = {}
    for document in rendered(values):
        if inner := document.get("spec", {}).get("template"):
            labels[document["metadata"]["name"]] = inner["metadata"]["labels"]
    for document in rendered(values):
        spec, kind = document.get("spec", {}), document["kind"]
        chosen = spec.get("selector" if kind != "NetworkPolicy" else "podSelector")
        if not chosen or kind in {"PersistentVolumeClaim", "ServiceMonitor"}:
            continue
        wanted = chosen.get("matchLabels", chosen)
        found = [name for name, has in labels.items() if wanted.items() <= has.items()]
        if document["metadata"]["name"] in {"shop-streamrec", "shop-streamrec-metrics"}:
            assert len(found) == len(labels), kind
        else:
            assert found == [document["metadata"]["name"]], kind


def test_the_monitor_finds_the_service_that_finds_every_process() -> None:
    (monitor,) = of_kind("everything", "ServiceMonitor").values()
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    services = of_kind("everything", "Service")
    assert [n for n, each in services.items() if wanted <= each["metadata"]["labels"].items()] == [
        "metrics"
    ]
    ports = {port["name"] for port in services["metrics"]["spec"]["ports"]}
    assert {each["port"] for each in monitor["spec"]["endpoints"]} == ports


def test_the_alerts_are_those_of_prometheus_untouched() -> None:
    (rule,) = of_kind("everything", "PrometheusRule").values()
    alerts = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())
    assert rule["spec"]["groups"] == alerts["groups"] != []


@pytest.mark.parametrize("kind", ["ScaledObject", "HorizontalPodAutoscaler"])
def test_what_scales_names_a_deployment_that_leaves_replicas_to_it(kind: str) -> None:
    deployments = of_kind("everything", "Deployment")
    for name, scaled in of_kind("everything", kind).items():
        target = scaled["spec"]["scaleTargetRef"]["name"]
        assert target == f"shop-streamrec-{name}"
        assert "replicas" not in deployments[name]["spec"]
    for deployment in of_kind("default", "Deployment").values():
        assert deployment["spec"]["replicas"] == 2


def test_keda_follows_the_groups_that_the_workers_form_on_topics_that_exist() -> None:
    known = {f"shop.{topic.name}" for topic in TOPICS}
    followed = {}
    for role, scaled in of_kind("everything", "ScaledObject").items():
        spec = scaled["spec"]
        assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"] <= 12, "partitions"
        for trigger in spec["triggers"]:
            metadata = trigger["metadata"]
            assert metadata["topic"] in known
            assert metadata["consumerGroup"] == f"shop.{role}"
            assert (metadata["tls"], metadata["sasl"]) == ("enable", "scram_sha512")
            followed.setdefault(role, set()).add(metadata["topic"].removeprefix("shop."))
    assert followed == {"features": {"events"}, "serving": {"user-updates", "requests"}}


def test_there_is_one_trainer_with_a_volume_and_the_gpu_it_was_given() -> None:
    for values, trainer, limits in (
        ("default", "trainer", {"memory"}),
        ("everything", "trainer", {"memory", "nvidia.com/gpu"}),
        ("everything", "copy", {"memory"}),
        ("everything", "replies-trainer", {"memory", "nvidia.com/gpu"}),
    ):
        spec = of_kind(values, "StatefulSet")[trainer]["spec"]
        assert spec["replicas"] == 1
        assert [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]] == ["state"]
        assert "state" not in {each["name"] for each in spec["template"]["spec"]["volumes"]}
        assert spec["template"]["spec"]["containers"][0]["resources"]["limits"].keys() == limits


def test_other_tasks_have_processes_only_where_they_are_enabled() -> None:
    assert of_kind("default", "StatefulSet").keys() == {"trainer"}
    assert "replies" not in of_kind("default", "Deployment")
    assert of_kind("everything", "StatefulSet").keys() == {"trainer", "copy", "replies-trainer"}
    run = {role: pod["containers"][0]["args"] for role, pod in pods("everything")}
    assert run["copy"] == ["worker", "trainer", "--task", "copy"]
    assert run["repliesTrainer"] == ["worker", "trainer", "--task", "replies"]
    assert run["replies"] == ["worker", "replies"]
    assert of_kind("everything", "Deployment")["replies"]["spec"]["replicas"] == 2


def test_doctor_has_the_memory_of_whoever_loads_a_language_model() -> None:
    found = dict(pods("default"))
    limits = {role: found[role]["containers"][0]["resources"]["limits"] for role in found}
    assert limits["doctor"] == limits["serving"]


def test_a_policy_lets_in_only_metrics_and_the_gateway() -> None:
    whole, gateway = (
        of_kind("everything", "NetworkPolicy")[name]["spec"]
        for name in ("shop-streamrec", "gateway")
    )
    assert whole["policyTypes"] == ["Ingress", "Egress"]
    (metrics,) = whole["ingress"]
    assert [port["port"] for port in metrics["ports"]] == [9400]
    (http,) = gateway["ingress"]
    assert [port["port"] for port in http["ports"]] == [8080]
    assert len(http["from"]) == len(metrics["from"]) == 1


# ------------------------------------------------------------------------------ Strimzi


def test_topics_are_laid_out_as_topics_create_would() -> None:
    made = {
        each["spec"]["topicName"]: each["spec"]
        for each in of_kind("everything", "KafkaTopic").values()
    }
    assert made.keys() == {f"shop.{topic.name}" for topic in TOPICS}
    for topic in TOPICS:
        spec = made[f"shop.{topic.name}"]
        assert spec["partitions"] == (1 if topic.one_partition else 12)
        assert spec["replicas"] == 3
        assert ("cleanup.policy" in spec["config"]) == topic.compacted
        assert spec["config"]["max.message.bytes"] == 2_000_000 + 8192
    assert of_kind("everything", "Job") == {}, "the operator makes them"


def table_of_rights() -> dict[str, dict[str, set[str]]]:
    """docs/operating.md, Rights in Kafka: role -> resource -> operations."""
    text = (ROOT / "docs" / "operating.md").read_text().split("\n## Rights in Kafka")[1]
    lines = re.findall(r"^\|(.*)\|$", text.split("\n## ")[0], re.MULTILINE)
    head, _, *rows = [[cell(word) for word in line.split("|")] for line in lines]
    found: dict[str, dict[str, set[str]]] = {role: {} for role in KAFKA_ROLES}
    for row in rows:
        resource = row[0].replace("`", "").split(",")[0]
        for role, rights in found.items():
            if said := row[head.index(role)]:
                rights[resource] = {word.strip() for word in said.split(",")}
    return found


def test_users_have_the_rights_of_the_documents_and_no_others() -> None:
    said = table_of_rights()
    watched = {"topic recommendations": {"read"}, "topic events": {"read", "describe"}}
    said["trainer"] |= watched  # canaries and the click guard are on in this example
    said |= dict.fromkeys(("copy", "replies-trainer"), said["trainer"])
    said["replies"] = {
        **{f"topic {topic}": {"read"} for topic in ("recommendations", "adapters")},
        **{f"topic {topic}": {"write"} for topic in ("replies", "events", "dead-letter")},
        "topic items": {"describe"},
        "group serving-replies": {"read"},
    }
    users = of_kind("everything", "KafkaUser")
    assert users.keys() == said.keys()
    for role, user in users.items():
        given: dict[str, set[str]] = {}
        for rule in user["spec"]["authorization"]["acls"]:
            name = f"{rule['resource']['type']} {rule['resource']['name'].removeprefix('shop.')}"
            assert rule["resource"]["patternType"] == "literal"
            given.setdefault(name, set()).update(word.lower() for word in rule["operations"])
        spelled = {
            name: words | ({"describe"} if name.startswith("topic") else set())
            for name, words in said[role].items()
        }
        assert given == spelled, role


# ------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ('settings.kafka.bootstrap=""', "bootstrap"),
        ('settings.redis.url="redis://:secret@redis:6379"', "does not match pattern"),
        ("settings.kafka.sasl_password=1", "sasl_password"),
        ("settings.serving.kk=3", "kk"),
        ("settings.canary.share=2", "maximum"),
        ("settings.gateway.port=80", "gateway"),
        ("secrets={}", "streamrec keys api new"),
        ('secrets.redis_url={"name":"a","key":"b"}', "redis_url"),
        ("registry.persistence.enabled=false", "registry.url"),
        ('features.autoscaling={"enabled":true,"maxReplicas":5}', "5 workers, but 4 partitions"),
        ("strimzi.users.enabled=true", "strimzi.topics.enabled"),
        ("strimzi.topics.enabled=true", "strimzi.cluster"),
        ("trainer.gpu.count=2", "maximum"),
        ("trainer.replicas=2", "replicas"),
        ('settings.kafka.security_protocol="SASL_TLS"', "security_protocol"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_by_helm(changed: str, told: str) -> None:
    done = template("default", changed)
    assert done.returncode != 0, f"{changed} is taken"
    assert told in done.stderr
