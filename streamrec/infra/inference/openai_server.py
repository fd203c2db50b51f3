"""Replies by an OpenAI-compatible server that loads adapters while it runs; ``ports.Generator``.

Knows what vLLM and mistral.rs have in common: ``/v1/load_lora_adapter``, an adapter's name as the
``model`` of a chat, and constraints by a regular expression. Does not know a tokenizer: what it
hands back has no tokens unless ``ids`` finds them.

A generation is loaded under its own name, which no other will ever have, so no adapter is replaced
while somebody writes with it. The server reads its directory from a path of its own: both must see
it under the same one. A server that has restarted has forgotten every adapter; the first reply that
meets this loads them again and is written then.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from streamrec.errors import GenerationRefused, Unavailable
from streamrec.infra.inference.reply_pattern import reply_pattern
from streamrec.ports import GeneratorStatus, OnText, Wanted, Written

TOGETHER = 16
"""Requests under way at once; the server makes batches of them."""

CONNECT_S = 5.0
FORGOTTEN = frozenset({400, 404})
"""What servers say of a model that they do not have."""

Ids = Callable[[Wanted, str], tuple[Sequence[int], Sequence[int]]]
"""The tokens of a prompt and of what was written to it. Raises ValueError where it has none."""


def no_ids(_: Wanted, __: str) -> tuple[Sequence[int], Sequence[int]]:
    return (), ()


class ServedGenerator:
    """Of one server. Safe to call from several threads."""

    def __init__(self, url: str, *, timeout_s: float = 60.0, ids: Ids = no_ids) -> None:
        """``url``: of its API, ``http://host:port``; credentials in it go along as such."""
        timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
        self._http = httpx.Client(base_url=url, timeout=timeout)
        self._ids = ids
        self._directories: dict[str, Path] = {}  # generation -> where the server finds it
        self._retired: set[str] = set()
        self._busy: Counter[str] = Counter()
        self._lock = threading.Lock()  # guards the three above; never held while calling

    def load(self, generation: str, directory: Path) -> None:
        """Raises GenerationRefused, Unavailable."""
        with self._lock:
            self._retired.discard(generation)
            if generation in self._directories:
                return
        self._load(generation, directory)
        with self._lock:
            self._directories[generation] = directory

    def retire(self, generation: str) -> None:
        with self._lock:
            if generation in self._directories:
                self._retired.add(generation)
        self._drop_idle()

    def status(self) -> GeneratorStatus:
        with self._lock:
            loaded = tuple(name for name in self._directories if name not in self._retired)
            return GeneratorStatus(loaded, self._busy.total())

    def generate(
        self, wanted: Sequence[Wanted], on_text: OnText | None = None
    ) -> Sequence[Written]:
        """Raises GenerationRefused, Unavailable."""
        with self._writing([one.generation for one in wanted]):
            tells = [
                partial(on_text, place) if on_text else _nobody for place, _ in enumerate(wanted)
            ]
            with ThreadPoolExecutor(min(TOGETHER, len(wanted) or 1)) as pool:
                return list(pool.map(self._write, wanted, tells))

    def close(self) -> None:
        self._http.close()

    def _load(self, generation: str, directory: Path) -> None:
        asked = {"lora_name": generation, "lora_path": str(directory.resolve())}
        answer = self._post("/v1/load_lora_adapter", asked)
        if answer.is_success or generation in self.listed():
            return  # another worker of the fleet may have been first
        raise GenerationRefused(f"{generation}: the server refuses it: {answer.text[:300]}")

    def listed(self) -> set[str]:
        """The models that the server has, under the names we gave. Raises Unavailable."""
        with _talking(self._http):
            listed = self._http.get("/v1/models")
            if listed.is_server_error:
                raise Unavailable(f"{_shown(self._http)} says {listed.status_code}")
        models = listed.json()["data"] if listed.is_success else []
        return {str(model["id"]).rpartition("::")[2] for model in models}

    def _write(self, one: Wanted, tell: Callable[[str], None]) -> Written:
        answer = self._chat(one, tell)
        if answer is None:
            with self._lock:
                directory = self._directories[one.generation]
            self._load(one.generation, directory)
            answer = self._chat(one, tell)
        if answer is None:
            raise Unavailable(f"the server has loaded {one.generation} and does not know it")
        text, finished = answer
        prompt_ids, token_ids = self._ids(one, text)
        return Written(text, tuple(prompt_ids), tuple(token_ids), None, finished)

    def _chat(self, one: Wanted, tell: Callable[[str], None]) -> tuple[str, bool] | None:
        """Text and whether it has ended; None where the server has forgotten the generation."""
        said, finished = "", False
        with (
            _talking(self._http),
            self._http.stream("POST", "/v1/chat/completions", json=_asked(one)) as answer,
        ):
            if not answer.is_success:
                answer.read()
                if answer.status_code in FORGOTTEN and one.generation not in self.listed():
                    return None
                raise Unavailable(f"the server says {answer.status_code}: {answer.text[:300]}")
            for choice in _choices(answer.iter_lines()):
                piece = (choice.get("delta") or {}).get("content") or ""
                if piece:
                    said += piece
                    tell(piece)
                finished = finished or choice.get("finish_reason") == "stop"
        return said, finished

    def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        with _talking(self._http):
            answer = self._http.post(path, json=body)
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
            raise Unavailable(f"the server says {answer.status_code}: {answer.text[:300]}")
        return answer

    @contextmanager
    def _writing(self, generations: Sequence[str]) -> Iterator[None]:
        with self._lock:
            unknown = sorted({*generations} - ({*self._directories} - self._retired))
            if unknown:
                raise GenerationRefused(f"not loaded: {', '.join(unknown)}")
            self._busy.update(generations)
        try:
            yield
        finally:
            with self._lock:
                self._busy.subtract(generations)
            self._drop_idle()

    def _drop_idle(self) -> None:
        """Those retired that are not writing; a server that is away has forgotten them anyway."""
        with self._lock:
            idle = [name for name in self._retired if not self._busy[name]]
            for name in idle:
                self._retired.discard(name)
                del self._directories[name]
        for name in idle:
            try:
                self._post("/v1/unload_lora_adapter", {"lora_name": name})
            except Unavailable:
                continue


def _asked(one: Wanted) -> dict[str, Any]:
    """A chat; the constraint as vLLM is told it, and as mistral.rs is."""
    pattern = reply_pattern(one.grammar)
    return {
        "model": one.generation,
        "messages": [
            {"role": "system", "content": one.fixed},
            {"role": "user", "content": one.rest},
        ],
        "max_tokens": one.grammar.max_tokens,
        "temperature": one.temperature,
        "seed": one.seed,
        "stream": True,
        "structured_outputs": {"regex": pattern},
        "grammar": {"type": "regex", "value": pattern},
    }


def _choices(lines: Iterator[str]) -> Iterator[Mapping[str, Any]]:
    """Out of server-sent events, each a JSON object."""
    for line in lines:
        content = line.removeprefix("data:").strip()
        if line.startswith("data:") and content != "[DONE]":
            yield from json.loads(content).get("choices") or ()


@contextmanager
def _talking(http: httpx.Client) -> Iterator[None]:
    """Raises Unavailable where nobody answers, or not in what the protocol says."""
    try:
        yield
    except httpx.HTTPError as error:
        raise Unavailable(f"{_shown(http)}: {type(error).__name__}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"{_shown(http)} answers what cannot be read: {error}") from error


def _shown(http: httpx.Client) -> httpx.URL:
    """Without credentials."""
    return http.base_url.copy_with(username=None, password=None)


def _nobody(_: str) -> None:
    """Whom a reply is told while it is written."""
