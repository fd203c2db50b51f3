"""The tracer that settings ask for. OpenTelemetry is loaded only where it is on."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from streamrec.errors import UserError
from streamrec.ports import NO_TRACER, Tracer
from streamrec.settings import Settings

PACKAGES = ("opentelemetry", "opentelemetry.exporter", "opentelemetry.exporter.otlp")


def open_tracer(
    settings: Settings,
    role: str,
    worker_id: str,
    *,
    installed: Callable[[str], object] = find_spec,
) -> Tracer:
    """Close it. Raises UserError when the package is missing."""
    if not settings.tracing:
        return NO_TRACER
    if not all(map(installed, PACKAGES)):
        raise UserError(
            "STREAMREC_TRACING is on but OpenTelemetry is not installed: "
            "`pip install 'streamrec[tracing]'`, or turn it off"
        )
    from streamrec.infra.tracking.spans import OtelTracer  # noqa: PLC0415 - an extra

    return OtelTracer(role, worker_id)
