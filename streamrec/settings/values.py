"""What can be set: one field for each setting, with its default, its limits and what it means.

Values only, frozen: groups of them are handed on to whoever needs them. Reading them is
``settings.reading``'s. A field without ``setting()`` is not read: code may change it, nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


def setting(
    default: Any,
    doc: str,
    *,
    secret: bool = False,
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """A field with its help text; ``least`` and ``most`` are the ends of what makes sense."""
    metadata = {"doc": doc, "secret": secret, "least": least, "most": most}
    return field(default=default, repr=not secret, metadata=metadata)


class SecurityProtocol(StrEnum):
    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    bootstrap: str = setting("", "host:port[,host:port]; empty: start an embedded broker")
    topic_prefix: str = setting("streamrec.", "put before every topic name")
    partitions: int = setting(4, "partitions of the events topic when we create it", least=1)
    replication: int = setting(1, "replication factor of topics we create", least=1)
    max_message_bytes: int = setting(1_000_000, "a larger message is refused", least=1024)
    security_protocol: SecurityProtocol = setting(SecurityProtocol.PLAINTEXT, "as Kafka's own")
    sasl_mechanism: str = setting("", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
    sasl_username: str = setting("", "SASL user; of a token endpoint, the client's id")
    sasl_password: str = setting("", "SASL password, or the client's secret", secret=True)
    sasl_oauth_token_url: str = setting("", "OAUTHBEARER: token endpoint (client credentials)")
    sasl_oauth_scope: str = setting("", "what the token endpoint is asked for")
    sasl_oauth_provider: str = setting(
        "", "OAUTHBEARER: module:callable that gives a token, or (token, expiry in ms since 1970)"
    )
    sasl_oauth_extensions: str = setting("", "OAUTHBEARER: name=value[,name=value]")
    ssl_cafile: str = setting("", "PEM file of the certificate authority")
    ssl_certfile: str = setting("", "PEM file of the client certificate")
    ssl_keyfile: str = setting("", "PEM file of the client key")
    session_timeout_s: float = setting(10.0, "a silent worker's partitions move on", least=1)
    schema_registry_url: str = setting("", "Confluent-compatible registry, for framed values")


@dataclass(frozen=True, slots=True)
class RedisSettings:
    url: str = setting(
        "", "redis://, rediss://, unix://, redis+sentinel://; empty: start an embedded one"
    )
    username: str = setting("", "ACL user")
    password: str = setting("", "ACL password", secret=True)
    sentinel_password: str = setting("", "of the sentinels themselves", secret=True)
    ssl_cafile: str = setting("", "PEM file of the certificate authority (rediss://)")
    key_prefix: str = setting("sr", "put before every key")


@dataclass(frozen=True, slots=True)
class IngestSettings:
    attribution_window_s: float = setting(
        300.0,
        "event time a view or reply waits for its click; nearly all should come in it",
        least=0,
    )


@dataclass(frozen=True, slots=True)
class StateSettings:
    """For how long what is known stays known, by event time."""

    repeat_days: float = setting(
        2.0, "an event sent again within these days of event time changes nothing", least=1
    )
    keep_days: float = setting(
        365.0, "users and item statistics without an event for so long go; 0: never", least=0
    )


class Adapter(StrEnum):
    """What of the language model is trained (``models.lora``)."""

    LORA = "lora"
    DORA = "dora"
    FULL = "full"  # full fine-tuning
    NONE = "none"  # head only


class Pooling(StrEnum):
    """How a text's token vectors become one vector."""

    AUTO = "auto"  # as the model's own files say; else mean, or the last token of a causal model
    MEAN = "mean"
    CLS = "cls"  # the first token
    LAST = "last"


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    model: str = setting(
        "sentence-transformers/all-MiniLM-L6-v2",
        "hub id or path of the language model; `STREAMREC_ENCODER` is the same",
    )
    device: str = setting("auto", "auto, cpu or cuda")
    dtype: str = setting("auto", "auto, float32 or bfloat16")
    max_tokens: int = setting(32, "tokens of an item's text that are read", least=4)
    pooling: Pooling = setting(Pooling.AUTO, "auto, mean, cls (first token) or last (token)")
    prompt: str = setting("", "put before every text, where a model was trained so: `query: `")
    adapter: Adapter = setting(Adapter.LORA, "lora, dora, full or none (head only)")
    layers: int = setting(2, "the adapter changes this many of the last layers", least=1)
    rank: int = setting(8, "rank of lora and dora", least=1)
    alpha: float = 16.0
    dropout: float = 0.0
    cache_mb: int = 256
    threads: int = setting(0, "CPU threads of a worker; 0: torch decides", least=0)


class Precision(StrEnum):
    """What the trained layers compute in while they learn; weights are float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True, slots=True)
class LearningSettings:
    """How the encoder's trained weights learn."""

    rate: float = setting(0.0, "its learning rate; 0: 2e-4", least=0)
    examples: int = setting(
        16, "in a step, half of them fresh; a step costs about seven texts for each", least=4
    )
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    accumulate: int = setting(
        1, "a step's texts pass in this many chunks: less memory, the same gradient", least=1
    )
    precision: Precision = setting(
        Precision.FLOAT32, "of a training step: float32, or bfloat16 (mixed)"
    )
    challenge: bool = True


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """How the head learns; what each is worth: docs/learning.md."""

    rate: float = 0.005
    replayed: int = 200
    recent: int = 2_048
    reservoir: int = 2_048


class TrackerKind(StrEnum):
    """Whose runs are written; where, the tool's own variables say."""

    NONE = "none"
    MLFLOW = "mlflow"
    WANDB = "wandb"


@dataclass(frozen=True, slots=True)
class TrainerSettings:
    release_examples: int = setting(500, "a candidate is made after this many examples", least=1)
    release_s: float = setting(15.0, "or after this many seconds with something learned", least=0)
    gate_examples: int = setting(200, "fresh examples that judge a candidate", least=1)
    gate_s: float = setting(10.0, "or this many seconds, with at least a tenth of them", least=0)
    quota_window: int = setting(2_048, "examples over which quotas are counted", least=1)
    quota_user_share: float = setting(
        0.125, "a user weighs no more than this share of them; 1: no quota", least=0
    )
    quota_item_share: float = setting(
        0.25, "an item weighs no more than this share of them; 1: no quota", least=0
    )
    swap_timeout_s: float = setting(20.0, "a silent worker holds a swap up no longer", least=0)
    checkpoint_s: float = setting(30.0, "seconds between checkpoints", least=0)
    snapshots: int = setting(
        8, "generations the trainer can go back to, beside champion and previous", least=1
    )
    seed: int = 0
    start_from: str = setting(
        "", "a generation of the registry (`streamrec train`) that the first champion is made from"
    )
    tensorboard_dir: str = setting("", "write TensorBoard event files here")
    tracker: TrackerKind = setting(
        TrackerKind.NONE, "a run for each generation, by none, mlflow or wandb"
    )


class OutputFormat(StrEnum):
    """How recommendations are written; all of them are read."""

    AVRO = "avro"  # single-object encoding
    JSON = "json"
    CONFLUENT = "confluent"  # Avro behind the id that a schema registry gives its schema


class Scored(StrEnum):
    """Which items are scored for a list."""

    AUTO = "auto"  # all up to 50,000, candidates beyond
    EXACT = "exact"  # all
    CANDIDATES = "candidates"  # some hundreds that are likely to be among the best


@dataclass(frozen=True, slots=True)
class ServingSettings:
    output: OutputFormat = setting(
        OutputFormat.AVRO,
        "recommendations as avro (single-object), json, or confluent (Avro of a schema registry)",
    )
    k: int = setting(10, "items in a live recommendation", least=1)
    scored: Scored = setting(
        Scored.AUTO,
        "items scored for a list: exact: all; candidates: some hundreds, found by text and "
        "statistics; auto: all up to 50,000",
    )
    explore: float = setting(
        0.0, "part of the lists whose last slot is drawn; propensities are logged", least=0, most=1
    )
    explain_s: float = setting(
        3600.0,
        "`streamrec why` can explain a list for so long (about 3 KB in Redis); 0: not at all",
        least=0,
    )
    max_age_s: float = setting(
        30.0,
        "a worker that is behind does not answer what has waited for so long, and counts it; "
        "0: it answers everything",
        least=0,
    )


@dataclass(frozen=True, slots=True)
class CopySettings:
    """Items that carry variants: which words they are shown with."""

    stable_s: float = setting(
        86_400.0, "a user keeps the wording of an item for so long; 0: drawn anew", least=0
    )
    max_chars: int = setting(0, "a variant with a longer title is refused; 0: any length", least=0)
    blocked_file: str = setting("", "words, one a line: a variant that has one is refused")


class Review(StrEnum):
    """Which replies wait for a person before they are said."""

    NONE = "none"
    FLAGGED = "flagged"  # those that a rule beginning with ? flags; the others are said at once
    ALL = "all"


@dataclass(frozen=True, slots=True)
class RepliesSettings:
    """What is said about a list (`streamrec worker replies`)."""

    model: str = setting(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "hub id or path of the language model that writes",
    )
    server: str = setting(
        "",
        "URL of an OpenAI-compatible server that loads adapters while it runs and writes instead, "
        "http://host:port; empty: the model writes in the worker",
    )
    max_wait_s: float = setting(5.0, "what is not written by then, a template says", least=0)
    review: Review = setting(Review.NONE, "replies that wait for a person: none, flagged or all")
    rules_file: str = setting("", "words and patterns, one a line: a reply that has one is refused")
    classifier: str = setting("", "hub id or path of a text classifier; its first label is: fine")
    classifier_limit: float = setting(0.5, "from so probably wrong on it refuses", least=0, most=1)
    implicit_weight: float = setting(
        0.5, "a click, a question asked again and silence say this part of a thumb; 0: nothing",
        least=0, most=1,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CanarySettings:
    """Trying a generation that passed its gate on some of the users first."""

    share: float = setting(0.0, "part of the users who get it first; 0: none", least=0, most=0.9)
    max_s: float = setting(600.0, "after this without harm it is promoted", least=0)
    min_lists: int = setting(50, "lists of each arm before anything is concluded", least=1)
    harm: float = setting(0.0, "part of the champion's click rate that may go", least=0)
    window_s: float = setting(30.0, "a list's views and clicks come within this", least=0.1)
    shown_only: bool = setting(False, "count only lists that a view or click says were seen")


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """Service levels of a new champion; a breach brings the one before back."""

    watch_s: float = setting(600.0, "a champion is watched for this long; 0: not at all", least=0)
    click_drop: float = setting(
        0.0,
        "a champion clicked this part less than the one before, beyond noise, goes too; 0: never",
        least=0,
        most=0.99,
    )
    max_latency_ms: float = setting(0.0, "95 % of its lists, at most; 0: any", least=0)
    max_empty_ratio: float = setting(0.2, "part of its lists without an item; 0: any", least=0)


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """Other traffic than usual pauses promotion, not learning."""

    window: int = setting(200, "examples that are looked at together; 0: no alarm", least=0)
    reference: int = setting(
        50, "windows that say what is usual; before there are so many, no alarm", least=8
    )
    calm: int = setting(5, "windows with nothing strange that end an alarm", least=1)


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """Whose generations are served, and under which names people are known."""

    signing_keyfile: str = setting("", "PEM private key; the trainer signs generations with it")
    verify_keyfiles: str = setting(
        "", "PEM public keys, by commas; set: generations signed by none of them are refused"
    )
    pseudonym_key: str = setting(
        "", "user ids become keyed hashes where they enter (`streamrec users`)", secret=True
    )


class LogFormat(StrEnum):
    """How a worker's log lines are written."""

    TEXT = "text"
    JSON = "json"  # one object a line


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """HTTP in front of the topics (`streamrec worker gateway`)."""

    host: str = setting("127.0.0.1", "address it listens on; one that others reach needs keys")
    port: int = setting(8080, "port it listens on; 0: any that is free", least=0, most=65_535)
    max_body_bytes: int = setting(4_000_000, "a larger body is refused", least=1024)
    requests_per_s: float = setting(
        200.0, "of one key, or of one address without; bursts of twice as many; 0: any", least=0
    )
    keys_file: str = setting(
        "", "API keys (`streamrec keys api`); empty: gateway-keys.json in state_dir"
    )


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """What monitoring asks of a process: /metrics, /healthz and /readyz."""

    port: int = setting(
        0, "/metrics, /healthz, /readyz of a worker; of `up`, its first one's; 0: none",
        least=0, most=65_535,
    )  # fmt: skip
    host: str = setting("127.0.0.1", "the address they are served at; 0.0.0.0: every one")


@dataclass(frozen=True, slots=True)
class Settings:
    state_dir: Path = setting(Path(".streamrec"), "registry, checkpoints, embedded servers")
    registry_url: str = setting("", "directory or fsspec URL of generations; empty: in state_dir")
    log_level: str = setting("INFO", "DEBUG, INFO, WARNING or ERROR")
    log_format: LogFormat = setting(LogFormat.TEXT, "log lines as text or json")
    tracing: bool = setting(False, "traces by OpenTelemetry; its own `OTEL_*` say where they go")
    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    ingest: IngestSettings = IngestSettings()
    state: StateSettings = StateSettings()
    encoder: EncoderSettings = EncoderSettings()
    learning: LearningSettings = LearningSettings()
    head: HeadSettings = HeadSettings()
    trainer: TrainerSettings = TrainerSettings()
    serving: ServingSettings = ServingSettings()
    copy: CopySettings = CopySettings()
    replies: RepliesSettings = RepliesSettings()
    canary: CanarySettings = CanarySettings()
    guard: GuardSettings = GuardSettings()
    alarm: AlarmSettings = AlarmSettings()
    trust: TrustSettings = TrustSettings()
    gateway: GatewaySettings = GatewaySettings()
    metrics: MetricsSettings = MetricsSettings()
