"""What ``doctor`` looks at in Kafka: brokers, topics and their settings, rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from streamrec.cli.doctor import CheckResult, Finding

if TYPE_CHECKING:
    from streamrec.settings import Settings


def kafka_findings(settings: Settings) -> Iterator[Finding]:
    """Whether brokers answer, and whether our topics are there and as they must be."""
    from streamrec.core.topics import TOPICS
    from streamrec.infra.wire.kafka import full_name
    from streamrec.infra.wire.kafka_diagnosis import bootstrap
    from streamrec.infra.wire.kafka_topics import check_visible, layout_problems, partition_counts

    kafka = settings.kafka
    asked = list(bootstrap(kafka))  # names it at once, where a client would try for long
    silent = [one for one in asked if one.reason is not None]
    if len(silent) == len(asked):
        yield Finding("Kafka", CheckResult.PROBLEM, f"{kafka.bootstrap}: {silent[0].reason}")
        return
    for one in silent:
        remedy = "take it out of STREAMREC_KAFKA_BOOTSTRAP, or bring it back"
        yield Finding("Kafka", CheckResult.NOTE, f"{one.address}: {one.reason}", remedy)
    counts = partition_counts(kafka)
    yield Finding("Kafka", CheckResult.OK, f"{kafka.bootstrap} answers ({kafka.security_protocol})")
    missing = [topic.name for topic in TOPICS if topic.name not in counts]
    check_visible(kafka, missing)
    problems = layout_problems(kafka)
    if missing:
        names = ", ".join(full_name(kafka, name) for name in missing)
        yield Finding(
            "topics", CheckResult.PROBLEM, f"missing: {names}", "`streamrec topics create`"
        )
    for problem in problems:
        yield Finding("topics", CheckResult.PROBLEM, problem)
    if not missing and not problems:
        partitions = counts["events"]
        yield Finding("topics", CheckResult.OK, f"all {len(TOPICS)} there, events in {partitions}")
        yield from _topic_flaws(settings)
        yield from _rights(settings)


def _topic_flaws(settings: Settings) -> Iterator[Finding]:
    """What the topics' own settings stop, or will stop when a broker goes away."""
    from streamrec.infra.wire.topic_flaws import topic_flaws

    for flaw in topic_flaws(settings.kafka):
        verdict = CheckResult.PROBLEM if flaw.stops else CheckResult.NOTE
        yield Finding("topics", verdict, flaw.said, flaw.remedy)


def _rights(settings: Settings) -> Iterator[Finding]:
    """Which roles this user cannot have; where each role has its own, that is as it should be."""
    from streamrec.apps.rights import ROLES, not_granted

    for role in ROLES:
        if missing := not_granted(settings, role):
            detail = f"not those of a {role} worker: {', '.join(missing)}"
            yield Finding("rights", CheckResult.NOTE, detail, "docs/operating.md, Rights in Kafka")
