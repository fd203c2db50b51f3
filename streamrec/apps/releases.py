"""Generations, looked at and changed for an operator: one at a terminal, or one with an admin key.

Each function connects, does one thing and lets go; ``actor`` is who the control log will name.
Loads neither torch nor faust.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamrec.apps import clients, trust
from streamrec.apps.release_fields import Slot, fates
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import ControlRecord, RegistryState
from streamrec.core.tasks import RANKING
from streamrec.errors import GenerationRefused, NotThere, UserError
from streamrec.loop.releasing.fleet_watch import SwapReport
from streamrec.ports import RegistryStore
from streamrec.settings import Settings

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Seen:
    """One generation, and what was done to it."""

    manifest: Manifest
    records: Sequence[ControlRecord]


def slot(settings: Settings, task: str = RANKING) -> Slot:
    """Every generation, newest first, and what became of each. Raises Unavailable."""
    store, found = clients.registry_store(settings, task), records(settings, task)
    state = found[-1].state if found else RegistryState()
    manifests = {name: _manifest(store, name) for name in reversed(store.generations())}
    return Slot(task, state, fates(state, found), manifests)


def seen(settings: Settings, generation: str, task: str = RANKING) -> Seen:
    """Raises NotThere, GenerationRefused, Unavailable."""
    _check_there(settings, generation, task)
    store = clients.registry_store(settings, task)
    manifest = Manifest.from_json((store.get(generation) / MANIFEST).read_text())
    mine = [record for record in records(settings, task) if record.generation == generation]
    return Seen(manifest, mine)


def records(settings: Settings, task: str = RANKING) -> list[ControlRecord]:
    """What was done, oldest first. Raises Unavailable."""
    with clients.control_log(settings, task=task) as control:
        return control.records()


def rollback(
    settings: Settings, why: str, to: str = "", *, task: str = RANKING, actor: str = ""
) -> SwapReport:
    """Back to the champion before, or to ``to``; pinned there.

    Raises NotThere, UserError: that is no way back; RegistryConflict: somebody acted first; then
    nothing was changed. Unavailable.
    """
    if to:
        trust.check_signature(settings, to, task)
    with clients.release_service(settings, task, actor) as service:
        try:
            return service.rollback(why, to or None)
        except UserError:
            if to:  # the registry is asked last: a way back must not need it
                _check_there(settings, to, task)
            raise


def pin(
    settings: Settings, why: str, generation: str = "", *, task: str = RANKING, actor: str = ""
) -> RegistryState:
    """Keep the champion; ``generation``: only if it still is this one. Raises as ``rollback``."""
    if generation:
        _check_there(settings, generation, task)
    with clients.release_service(settings, task, actor) as service:
        champion = service.state().champion
        if generation not in ("", champion):
            raise UserError(
                f"{generation} is not the champion, {champion or 'nothing'} is: roll back to it, "
                "which pins it"
            )
        return service.pin(why)


def unpin(
    settings: Settings, why: str = "", *, task: str = RANKING, actor: str = ""
) -> RegistryState:
    """Let the trainer activate again. Raises as ``rollback``."""
    with clients.release_service(settings, task, actor) as service:
        return service.unpin(why)


def note(settings: Settings, said: str, actor: str) -> None:
    """Write down in the control log what was done beside a release. Raises as ``rollback``."""
    with clients.release_service(settings, actor=actor) as service:
        service.note(said)


def _check_there(settings: Settings, generation: str, task: str) -> None:
    if generation not in clients.registry_store(settings, task).generations():
        raise NotThere(
            f"{generation} is not in the registry; `streamrec adapters list` names them all"
        )


def _manifest(store: RegistryStore, generation: str) -> Manifest | None:
    """None when it cannot be read: the list has room for that."""
    try:
        return Manifest.from_json((store.get(generation) / MANIFEST).read_text())
    except (GenerationRefused, OSError):
        return None
