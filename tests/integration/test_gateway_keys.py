"""Who may do what over HTTP, on a real loop: keys by role, tenants, rotation, and an audit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from streamrec.apps.gateway import run_gateway
from streamrec.client import CallRefused, LinesRefused, StreamrecClient
from streamrec.core.events import DeadLetter
from streamrec.errors import UserError
from streamrec.settings import GatewaySettings
from tests.fakes.language_models import save_tiny_model
from tests.harness.command_line import CommandLine
from tests.harness.gateway import gateway
from tests.harness.kinds import SERVERS
from tests.harness.serving_loop import Loop, serving_loop
from tests.harness.waiting import eventually

ASKED = {"user_id": "acme:ann", "k": 3, "wait_s": 30}


@pytest.fixture(params=SERVERS)
def loop(request, fresh_prefix, tmp_path) -> Iterator[Loop]:
    """On Apache Kafka and Redis, or on what pip installed."""
    bootstrap, redis_url = (request.getfixturevalue(name) for name in request.param)
    names = fresh_prefix.topic, fresh_prefix.redis
    model = save_tiny_model("bert", tmp_path / "model")
    with serving_loop(bootstrap, redis_url, names, model, tmp_path) as loop:
        yield loop


@pytest.fixture
def shell(loop: Loop, tmp_path: Path) -> CommandLine:
    settings = loop.settings
    return CommandLine(
        {
            "STREAMREC_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
            "STREAMREC_KAFKA_TOPIC_PREFIX": settings.kafka.topic_prefix,
            "STREAMREC_REDIS_URL": settings.redis.url,
            "STREAMREC_REDIS_KEY_PREFIX": settings.redis.key_prefix,
            "STREAMREC_STATE_DIR": settings.state_dir,
        },
        tmp_path,
    )


def new_key(shell: CommandLine, name: str, *how: str) -> dict[str, str]:
    return shell.json("keys", "api", "new", f"--name={name}", *how, here=True)


def answer(http: httpx.Client, method: str, path: str, secret: str = "", **how) -> tuple[int, str]:
    """Status, and the code of a problem."""
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    found = http.request(method, path, headers=headers | how.pop("headers", {}), **how)
    if found.status_code == 401:
        assert found.headers["www-authenticate"] == "Bearer"
    return found.status_code, found.json().get("code", "")


def test_keys_by_role_tenant_and_installation(loop: Loop, shell: CommandLine, caplog) -> None:
    caplog.set_level(logging.INFO)
    first, second = loop.release(), loop.release()
    loop.worker("serving-1")
    loop.send("dead-letter", "ann", loop.codec.encode("dead-letter", dead_letter()))
    with gateway(loop.settings) as http:
        nobody_is_admin_and_only_this_host_is_let_in(http)

        read = new_key(shell, "shop", "--role=read")
        write = new_key(shell, "feed", "--role=write")
        ops = new_key(shell, "ops", "--role=admin")
        acme = new_key(shell, "acme", "--role=read", "--role=write", "--users=acme:")
        a_keys_file_closes_it(http, read["secret"], write["secret"])
        a_tenant_sees_its_own(http, acme["secret"])
        an_answer_is_its_tenants(http, read["secret"], ops["secret"], acme["secret"])

        with StreamrecClient(str(http.base_url), ops["secret"]) as admin:
            an_admin_rolls_back(admin, shell, first, second)
            dead_letters_go_again(admin, shell)

        a_key_is_changed_without_a_restart(http, shell, read)
    said = caplog.text
    assert "admin ops" in said
    assert "refused POST /v1/admin/rollback" in said
    assert not any(key["secret"] in said for key in (read, write, ops, acme))


def nobody_is_admin_and_only_this_host_is_let_in(http: httpx.Client) -> None:
    eventually(lambda: answer(http, "POST", "/v1/recommendations", json=ASKED)[0] == 200)
    assert answer(http, "GET", "/v1/admin/generations") == (401, "key-needed")
    assert answer(http, "POST", "/v1/admin/rollback", "sr_x", json={"why": "x"})[0] == 401
    for strange in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        done = answer(http, "POST", "/v1/recommendations", json=ASKED, headers=strange)
        assert done == (401, "key-needed")


def a_keys_file_closes_it(http: httpx.Client, read: str, write: str) -> None:
    ask = ("POST", "/v1/recommendations")
    eventually(lambda: answer(http, *ask, json=ASKED) == (401, "key-needed"))
    assert answer(http, *ask, read, json=ASKED)[0] == 200
    assert answer(http, *ask, write, json=ASKED) == (403, "role-missing")
    assert answer(http, *ask, "sr_guess", json=ASKED) == (401, "unknown-key")
    basic = {"Authorization": f"Basic {read}"}
    assert answer(http, *ask, json=ASKED, headers=basic) == (401, "key-needed")
    for secret in (read, write):
        done = answer(http, "GET", "/v1/admin/generations", secret)
        assert done == (403, "role-missing")


def a_tenant_sees_its_own(http: httpx.Client, acme: str) -> None:
    ask = ("POST", "/v1/recommendations")
    assert answer(http, *ask, acme, json=ASKED)[0] == 200
    other = answer(http, *ask, acme, json=ASKED | {"user_id": "bolt:ann"})
    assert other == (403, "foreign-user")
    assert answer(http, "GET", "/v1/users/acme:ann", acme)[0] == 200
    for path in ("bolt:ann", "bolt:ann/recommendations", "bolt:ann/stream"):
        assert answer(http, "GET", f"/v1/users/{path}", acme) == (403, "foreign-user")
    assert answer(http, "GET", "/v1/users", acme) == (403, "bound-key")
    assert answer(http, "POST", "/v1/items", acme, json={"item_id": "x"}) == (403, "bound-key")
    events = [click("acme:ann"), click("bolt:ann")]
    with StreamrecClient(str(http.base_url), acme) as tenant:
        sent = tenant.send_events(events, strict=False)
        assert [one.code for one in sent.verdicts] == ["", "foreign-user"]
        with pytest.raises(LinesRefused, match="1 of 1 were refused"):
            tenant.send_events([click("bolt:ann")])


def an_answer_is_its_tenants(http: httpx.Client, read: str, ops: str, acme: str) -> None:
    headers = {"Authorization": f"Bearer {read}"}
    asked = ASKED | {"user_id": "bolt:ann"}
    found = http.post("/v1/recommendations", json=asked, headers=headers).json()
    name = found["recommendation_id"]
    assert answer(http, "GET", f"/v1/recommendations/{name}", acme) == (403, "foreign-user")
    assert answer(http, "GET", f"/v1/admin/why/{name}", read) == (403, "role-missing")
    assert answer(http, "GET", f"/v1/admin/why/{name}", ops)[0] == 200


def click(user: str) -> dict[str, str | int]:
    return {"user_id": user, "item_id": "item1", "kind": "click", "occurred_at": 1_767_323_046}


def an_admin_rolls_back(
    admin: StreamrecClient, shell: CommandLine, first: str, second: str
) -> None:
    registry = admin.registry()
    assert (registry["champion"], registry["previous"]) == (second, first)
    assert registry == shell.json("adapters", "list", here=True)
    assert admin.generation(first) == shell.json("adapters", "show", first, here=True)
    for call in (
        lambda: admin.generation("g000099-nowhere1"),
        lambda: admin.rollback("x", to="g000099-nowhere1"),
        lambda: admin.pin("x", "g000099-nowhere1"),
    ):
        with pytest.raises(CallRefused) as raised:
            call()
        assert raised.value.status == 404
    with pytest.raises(CallRefused) as raised:
        admin.rollback("  ")
    assert (raised.value.status, raised.value.problem["errors"][0]["field"]) == (422, "why")

    done = admin.rollback("odd lists since noon")
    assert (done.generation, done.complete, set(done.confirmed_ms)) == (first, True, {"serving-1"})
    listed = shell.json("adapters", "list", here=True)
    assert (listed["champion"], listed["pinned"]) == (first, True)
    log = shell.run_here("adapters", "log").stdout
    assert "key:ops" in log
    assert "odd lists since noon" in log
    with pytest.raises(CallRefused, match="pinned already by key:ops") as raised:
        admin.pin("again")
    assert raised.value.status == 409
    assert admin.unpin("looked at it").pinned is False
    assert admin.pin("until monday", first).pinned is True
    assert admin.recommend("acme:ann", wait_s=30).generation == first, "an admin may do it all"


def dead_letter() -> DeadLetter:
    event = (
        b'{"event_id": "e1", "user_id": "ann", "item_id": "item1", "kind": "click", '
        b'"occurred_at": 1767323046}'
    )
    return DeadLetter("events", 0, 7, b"ann", event, "unknown-schema", "a test", 1_000)


def dead_letters_go_again(admin: StreamrecClient, shell: CommandLine) -> None:
    found = admin.dead_letters(code="unknown-schema")
    assert (found["total"], found["letters"][0]["reason"]) == (1, "a test")
    assert admin.dead_letters(code="malformed")["total"] == 0
    with pytest.raises(CallRefused) as raised:
        admin.resend("x", ids=["0:99"])
    assert raised.value.status == 404
    before = admin.registry()
    sent = admin.resend("the schema is there now", code="unknown-schema")
    assert (len(sent["resent"]), sent["not_resent"]) == (1, [])
    assert sent["resent"][0]["by"] == "key:ops"
    assert admin.registry() == before | {"revision": before["revision"] + 1}
    assert admin.resend("again", code="unknown-schema") == {"resent": [], "not_resent": []}
    log = shell.run_here("adapters", "log").stdout.splitlines()
    (line,) = [line for line in log if "resends 1 dead letters" in line]
    assert "key:ops" in line
    assert "the schema is there now" in line
    assert shell.json("dead-letter", "list", here=True)["letters"][0]["resent"]


def a_key_is_changed_without_a_restart(
    http: httpx.Client, shell: CommandLine, read: dict[str, str]
) -> None:
    ask = ("POST", "/v1/recommendations")
    newer = new_key(shell, "shop", "--role=read")
    eventually(lambda: answer(http, *ask, newer["secret"], json=ASKED)[0] == 200)
    assert answer(http, *ask, read["secret"], json=ASKED)[0] == 200, "two are valid at once"
    eventually(lambda: {read["id"], newer["id"]} <= used(shell))
    assert "not yet" not in shell.run_here("keys", "api", "list").stdout
    assert shell.run_here("keys", "api", "revoke", read["id"]).returncode == 0
    eventually(lambda: answer(http, *ask, read["secret"], json=ASKED) == (401, "unknown-key"))
    path = Path(newer["file"])
    good = path.read_text()
    foreign = good.replace(f'"topics": "{newer["topics"]}"', '"topics": "staging."')
    assert foreign != good
    path.write_text(foreign)
    eventually(lambda: answer(http, *ask, newer["secret"], json=ASKED) == (401, "foreign-key"))
    path.write_text(good)
    eventually(lambda: answer(http, *ask, newer["secret"], json=ASKED)[0] == 200)


def used(shell: CommandLine) -> set[str]:
    listed = shell.json("keys", "api", "list", here=True)["keys"]
    return {key["id"] for key in listed if key["used_at_ms"]}


def test_a_gateway_for_others_needs_keys(loop: Loop, tmp_path: Path) -> None:
    def starts(**how) -> None:
        settings = replace(loop.settings, gateway=GatewaySettings(port=0, **how))
        run_gateway(settings, "gateway-1", stop=None)

    with pytest.raises(UserError, match=r"there are no keys in .*gateway-keys\.json"):
        starts(host="0.0.0.0")
    with pytest.raises(UserError, match="No such file"):
        starts(keys_file=str(tmp_path / "nowhere.json"))
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        starts(keys_file=str(broken))
