"""``doctor``: what is unreachable or misconfigured, and what to do about it.

Each check looks at one thing and says one line. A check that cannot be made because an
earlier one failed is left out: its problem is named already.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from streamrec.cli.console import JsonOption, out, print_json, words
from streamrec.core.printable import one_line
from streamrec.core.release.registry import RegistryState
from streamrec.core.tasks import RANKING
from streamrec.errors import EncoderUnavailable, SettingsError, StreamrecError, UserError

if TYPE_CHECKING:
    from redis import Redis

    from streamrec.core.release.manifest import Manifest
    from streamrec.settings import Settings

SOON_S = 7 * 86_400  # in which Redis is full
RATE_KNOWN_S = 3_600
"""What memory grew by in less time says nothing: a catalogue is loaded once."""
SKEW_MS = 2_000


class CheckResult(StrEnum):
    OK = "ok"
    NOTE = "note"  # works, but somebody should know
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    what: str
    verdict: CheckResult
    detail: str
    remedy: str = ""


_STYLES = {CheckResult.OK: "green", CheckResult.NOTE: "yellow", CheckResult.PROBLEM: "bold red"}


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    app.command(rich_help_panel="Watch")(doctor)


def doctor(as_json: JsonOption = False) -> None:
    """Check everything the loop needs, and say what to do about what is wrong.

    Settings, Kafka and its topics, Redis, the registry, the language model's weights, the
    workers. The exit code is 1 when there is a problem.

    \b
    streamrec doctor
    streamrec doctor --json | jq '.[] | select(.verdict == "problem")'
    """
    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        print_json([{**asdict(f), "verdict": f.verdict.value} for f in findings])
    if any(finding.verdict is CheckResult.PROBLEM for finding in findings):
        raise typer.Exit(1)


def _show(finding: Finding) -> None:
    style = _STYLES[finding.verdict]
    verdict = (f"{finding.verdict.value:<8}", style)
    what = (one_line(f"{finding.what:<12}"), "bold")
    line = Text.assemble(verdict, what, one_line(finding.detail))
    out.print(line, soft_wrap=True)
    if finding.remedy:
        out.print(words(f"{'':20}{finding.remedy}"), soft_wrap=True)


def examine() -> Iterator[Finding]:
    """Every finding, as it is made."""
    from streamrec import settings as reader
    from streamrec.apps import clients
    from streamrec.cli.doctor_kafka import kafka_findings
    from streamrec.cli.doctor_replies import reply_server
    from streamrec.cli.doctor_texts import language

    try:
        settings = reader.load()
    except SettingsError as error:
        for problem in error.problems:
            yield Finding(
                "settings", CheckResult.PROBLEM, problem, "`streamrec settings` lists them"
            )
        return
    changed = sum(row.value != row.default for row in reader.describe(settings))
    yield Finding("settings", CheckResult.OK, f"{changed} differ from their defaults")
    yield from guarded("weights", _weights, settings)
    yield from guarded("registry", _registry, settings)
    yield from guarded("keys", keys, settings)
    yield from guarded("API keys", api_keys, settings)
    yield from guarded("replies", reply_server, settings)
    try:
        located = clients.located(settings)
    except UserError as error:
        yield Finding("servers", CheckResult.PROBLEM, str(error))
        return
    kafka = list(guarded("Kafka", kafka_findings, located))
    yield from kafka
    redis = list(guarded("Redis", _redis, located))
    yield from redis
    if _fine(redis):
        yield from guarded("workers", _workers, located)
    if _fine(kafka):
        yield from guarded("champion", _champions, located)
    if _fine(kafka) and _fine(redis):
        yield from guarded("language", language, located)
        yield from guarded("identity", identity, located)
        yield from guarded("state", _logs, located)


def _fine(findings: list[Finding]) -> bool:
    return all(finding.verdict is not CheckResult.PROBLEM for finding in findings)


def guarded(
    what: str, check: Callable[[Settings], Iterator[Finding]], settings: Settings
) -> Iterator[Finding]:
    """A check's findings; an error on the way is one more."""
    try:
        yield from check(settings)
    except StreamrecError as error:
        yield Finding(what, CheckResult.PROBLEM, str(error))


def _weights(settings: Settings) -> Iterator[Finding]:
    from streamrec.models.weights import find_weights

    try:
        found = find_weights(settings.encoder.model)
    except EncoderUnavailable as error:
        yield Finding("weights", CheckResult.PROBLEM, str(error))
        return
    yield Finding("weights", CheckResult.OK, f"{found.name}, sha256 {found.digest[:12]}…")


def _registry(settings: Settings) -> Iterator[Finding]:
    """A file can be written, read and removed where generations go."""
    import fsspec

    from streamrec.apps.clients import registry_url

    url = registry_url(settings)
    try:
        filesystem, root = fsspec.core.url_to_fs(url)
        probe = f"{root}/.doctor-{uuid.uuid4().hex}"
        filesystem.makedirs(root, exist_ok=True)
        filesystem.pipe_file(probe, b"ok")
        filesystem.rm_file(probe)
    except (OSError, ValueError, ImportError) as error:
        yield Finding(
            "registry",
            CheckResult.PROBLEM,
            f"{url} cannot be written: {error}",
            "STREAMREC_REGISTRY_URL names another place; all workers must reach it",
        )
        return
    yield Finding("registry", CheckResult.OK, f"{url} can be written")


def keys(settings: Settings) -> Iterator[Finding]:
    """Nothing where no keys are set; whether we would take what we sign where both are."""
    from streamrec.apps import trust

    signer, signers = trust.signer(settings), trust.signers(settings)
    if signer is None and not signers.keys:
        return
    said = f"{len(signers.keys)} to check by, {'one' if signer else 'none'} to sign with"
    if signer and signers.keys and signer.key.public_key() not in signers.keys:
        remedy = "add its public file to STREAMREC_TRUST_VERIFY_KEYFILES"
        yield Finding("keys", CheckResult.PROBLEM, "what we sign we would refuse", remedy)
    else:
        yield Finding("keys", CheckResult.OK, said)


def api_keys(settings: Settings) -> Iterator[Finding]:
    """Nothing where there is no file and none is named."""
    from streamrec.apps import access
    from streamrec.infra.clock import SystemClock
    from streamrec.infra.stores.key_file import read_keys

    path = access.path(settings)
    if not (settings.gateway.keys_file or path.exists()):
        return
    found, now_ms, here = read_keys(path), SystemClock().now_ms(), access.scope(settings, "")
    yield Finding("API keys", CheckResult.OK, f"{len(found)} in {path}")
    for key in found:
        foreign = not key.scope.fits(here)
        if key.expired(now_ms) or foreign:
            why = "is another installation's" if foreign else "has expired"
            remedy = f"`streamrec keys api revoke {key.key_id}`"
            yield Finding("API keys", CheckResult.NOTE, f"{key.key_id} ({key.name}) {why}", remedy)


def _redis(settings: Settings) -> Iterator[Finding]:
    from streamrec.apps import clients
    from streamrec.infra.stores.redis_client import masters, redis_errors
    from streamrec.infra.stores.redis_diagnosis import server_infos, troubles, version

    with clients.redis(settings) as client:
        infos = server_infos(client)
        several = len(infos) > 1
        for address, info in infos.items():
            said = f"{address}: " if several else ""
            yield Finding("Redis", CheckResult.OK, f"{said}{version(info)} answers")
            for one in troubles(info):
                verdict = CheckResult.PROBLEM if one.stops else CheckResult.NOTE
                yield Finding("Redis", verdict, f"{said}{one.what}", one.remedy)
        yield from _redis_rights(settings, client)
        with redis_errors("asking the time"):
            for server in masters(client):
                yield from _redis_clock(server)
        yield from _redis_memory(client, settings.redis.key_prefix)


def _redis_memory(client: Redis, key_prefix: str) -> Iterator[Finding]:
    from streamrec.infra.clock import SystemClock
    from streamrec.infra.stores.redis_memory import RedisMemory

    look = RedisMemory(client, key_prefix).look((), SystemClock().now_ms())
    full_in_s = look.full_in_s if look.over_s >= RATE_KNOWN_S else None
    if full_in_s is not None and full_in_s < SOON_S:
        detail = f"at the rate of the last day it is full in {full_in_s / 3_600:.0f} hours"
        remedy = "give it more memory, or lower STREAMREC_STATE_KEEP_DAYS"
        yield Finding("Redis", CheckResult.PROBLEM, detail, remedy)


def _redis_rights(settings: Settings, client: Redis) -> Iterator[Finding]:
    from streamrec.apps.rights import REDIS_KEYS, redis_not_granted

    for role in REDIS_KEYS:
        if missing := redis_not_granted(settings, client, role):
            detail = f"not those of a {role} worker: {', '.join(missing)}"
            yield Finding("rights", CheckResult.NOTE, detail, "docs/operating.md, Rights in Redis")


def _redis_clock(client: Redis) -> Iterator[Finding]:
    from streamrec.infra.clock import SystemClock

    seconds, microseconds = client.time()
    skew_ms = abs(SystemClock().now_ms() - (seconds * 1000 + microseconds // 1000))
    if skew_ms > SKEW_MS:
        detail = f"its clock and ours differ by {skew_ms / 1000:.1f} s"
        yield Finding("Redis", CheckResult.NOTE, detail, "latencies shown are off; run NTP")


def _workers(settings: Settings) -> Iterator[Finding]:
    from streamrec.apps import clients
    from streamrec.apps.live import without_canary
    from streamrec.apps.local_loop import FEATURES, SERVING, TRAINER
    from streamrec.cli.clocks_view import clock_troubles
    from streamrec.cli.doctor_lists import recall
    from streamrec.cli.doctor_replies import left_out, template_share
    from streamrec.infra.clock import SystemClock

    with clients.redis(settings) as redis:
        workers = list(clients.fleet(settings, redis).workers())
    alive = Counter((worker.role, worker.task) for worker in workers)
    for role in (FEATURES, TRAINER, SERVING):
        if alive[role, RANKING]:
            yield Finding("workers", CheckResult.OK, f"{role}: {alive[role, RANKING]} alive")
        else:
            remedy = f"`streamrec worker {role}`, or `streamrec up` for all of them"
            yield Finding("workers", CheckResult.PROBLEM, f"{role}: none alive", remedy)
    for task in sorted({worker.task for worker in workers} - {RANKING}):
        for role in (TRAINER, SERVING):
            count = alive[role, task]
            verdict = CheckResult.OK if count else CheckResult.NOTE
            remedy = "" if count else f"`streamrec worker {role} --task {task}`"
            yield Finding("workers", verdict, f"{role} of {task}: {count or 'none'} alive", remedy)
        if alive[TRAINER, task] and (said := without_canary(settings, task)):
            yield Finding("canary", CheckResult.NOTE, said)
    yield from template_share(workers)
    yield from left_out(workers)
    yield from recall(workers)
    for said, remedy in clock_troubles(workers, SystemClock().now_ms()):
        yield Finding("clocks", CheckResult.NOTE, said, remedy)
    for worker in workers:
        if stale := sum(n for name, n in worker.gauges.items() if name.startswith("stale_")):
            detail = f"{worker.worker_id} was behind: {stale:,.0f} triggers too old to be answered"
            yield Finding("workers", CheckResult.NOTE, detail, "docs/operating.md, Overload")
        for generation, why in worker.refused.items():
            yield Finding(
                "workers", CheckResult.PROBLEM, f"{worker.worker_id} refuses {generation}: {why}"
            )


def _logs(settings: Settings) -> Iterator[Finding]:
    """Whether state and logs fit, and whether a transaction holds somebody back."""
    from streamrec.apps import layouts
    from streamrec.apps.state import parted
    from streamrec.infra.wire.kafka_offsets import end_offsets

    misfit = layouts.problem(settings)
    if misfit:
        yield Finding("state", CheckResult.PROBLEM, misfit)
    waiting = parted(settings)
    for one in waiting:
        remedy = "`streamrec state continue` says what is lost and goes on past it"
        detail = f"{one.source} waits at {one.position}: {one.on.why}"
        yield Finding("state", CheckResult.PROBLEM, detail, remedy)
    if not (waiting or misfit):
        yield Finding("state", CheckResult.OK, "it fits the logs it comes from")
    written = end_offsets(settings.kafka, ["events", "items", "requests"], committed=False)
    readable = end_offsets(settings.kafka, ["events", "items", "requests"])
    for (topic, partition), end in readable.items():
        if held := written[topic, partition] - end:
            where = f"{topic}-{partition} from offset {end} on"
            detail = f"{held:,} messages wait for a transaction to end: {where}"
            remedy = "`kafka-transactions.sh find-hanging`, if it stays so"
            yield Finding("transactions", CheckResult.NOTE, detail, remedy)


def _champions(settings: Settings) -> Iterator[Finding]:
    from streamrec.apps import clients

    for task in clients.known_tasks(settings):
        yield from _champion(settings, task)


def _champion(settings: Settings, task: str) -> Iterator[Finding]:
    from streamrec.apps import clients

    what, option = ("champion", "") if task == RANKING else (f"of {task}", f" --task {task}")
    with clients.control_log(settings, task=task) as control:
        latest = control.latest()
    state = latest.state if latest else RegistryState()
    champion, pin = state.champion, state.pin
    if champion is None:
        yield Finding(what, CheckResult.NOTE, "none yet", "the trainer makes the first one")
        return
    if champion not in clients.registry_store(settings, task).generations():
        remedy = f"`streamrec adapters activate{option}` another, or bring the directory back"
        yield Finding(what, CheckResult.PROBLEM, f"{champion} is not in the registry", remedy)
        return
    yield Finding(what, CheckResult.OK, champion)
    yield from shape(settings, what, clients.manifest(settings, champion, task), task)
    if pin:
        detail = f"pinned by {pin.actor}: {pin.reason or 'no reason given'}"
        remedy = f"`streamrec adapters unpin{option}` lifts it"
        yield Finding(what, CheckResult.NOTE, detail, remedy)


def shape(
    settings: Settings, what: str, manifest: Manifest | None, task: str = RANKING
) -> Iterator[Finding]:
    """Settings that the champion was made with otherwise."""
    from streamrec.apps import clients

    if manifest is not None and (changed := clients.changed_since(settings, manifest, task)):
        detail = f"{manifest.generation} was made with {'; '.join(changed)}"
        remedy = "it answers until a generation of the new shape passes the gate"
        yield Finding(what, CheckResult.NOTE, detail, f"{remedy} (docs/operating.md)")


def identity(settings: Settings) -> Iterator[Finding]:
    """Whether Kafka, Redis, registry and checkpoints are of one installation, and abreast."""
    from streamrec.apps import clients, identities
    from streamrec.core.identity import agreed

    with clients.redis(settings) as client:
        whole = agreed(identities.said(settings, client))
        older = identities.behind(settings, client)
    name = whole.installation or "no name yet: the trainer gives one"
    yield Finding("identity", CheckResult.OK, f"Kafka, Redis and registry agree ({name})")
    for detail in older:
        remedy = "feature workers read up to there, then start the trainer (docs/operating.md)"
        yield Finding("identity", CheckResult.PROBLEM, detail, remedy)
