"""The page in a real Chromium, on a real loop: what it shows, what it does, and how it is built.

``--page-figures docs/figures`` writes the pictures of docs/page.md.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect, sync_playwright

from streamrec.infra.processes import servers_file
from streamrec.infra.wire.kafka import KafkaPublisher
from streamrec.settings import KafkaSettings
from tests.fakes.language_models import save_tiny_model
from tests.harness.command_line import CommandLine
from tests.harness.servers import skip_or_fail
from tests.harness.waiting import eventually
from tests.integration.test_end_to_end import ITEMS, clicks

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
BAD = "<img src=x onerror=alert(1)>"
CATALOGUE = [*ITEMS, {"item_id": "bad", "title": BAD, "categories": ["Drama"]}]
PATIENT_MS = 60_000
NARROW = {"width": 360, "height": 740}
WIDE = {"width": 1280, "height": 900}


@pytest.fixture
def shell(tmp_path: Path) -> CommandLine:
    return CommandLine(
        {
            "STREAMREC_GATEWAY_PORT": 0,
            "STREAMREC_ENCODER_MODEL": save_tiny_model("bert", tmp_path / "model"),
            "STREAMREC_ENCODER_THREADS": 1,
            "STREAMREC_TRAINER_RELEASE_EXAMPLES": 60,
            "STREAMREC_TRAINER_RELEASE_S": 3,
            "STREAMREC_TRAINER_GATE_EXAMPLES": 30,
            "STREAMREC_TRAINER_GATE_S": 3,
        },
        tmp_path,
    )


@pytest.fixture
def secret(shell: CommandLine) -> str:
    done = shell.run("keys", "api", "new", "--name", "operator", "--role", "admin")
    assert done.returncode == 0, done.stderr
    found = re.search(r"sr_\S+", done.stdout)
    assert found is not None, done.stdout
    return found[0]


@pytest.fixture
def http(shell: CommandLine, secret: str) -> Iterator[httpx.Client]:
    """A gateway with a catalogue, and clicks that go on coming."""
    with shell.started("up"):
        said = shell.directory / "up.out"
        eventually(lambda: re.search(r"http://\S+", said.read_text()), 120, "an address")
        address = re.search(r"http://[\w.:]+", said.read_text())
        assert address is not None
        headers = {"Authorization": f"Bearer {secret}"}
        with httpx.Client(base_url=address[0], headers=headers, timeout=60) as client:
            eventually(lambda: ready(client), 240, "a gateway", every_s=0.2)
            assert client.post("/v1/items", json=CATALOGUE).json()["refused"] == 0
            over = threading.Event()
            feeder = threading.Thread(target=feed, args=(client, over))
            feeder.start()
            yield client
            over.set()
            feeder.join(60)


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def feed(client: httpx.Client, over: threading.Event) -> None:
    """``u1`` comes back to the item with the bad title, so that it stays in the history."""
    seed = 1
    while not over.wait(0.5):
        events = clicks(30, seed)
        again = events[-1] | {"event_id": f"bad{seed}", "user_id": "u1", "item_id": "bad"}
        client.post("/v1/events", json=[*events, again])
        seed += 1


@pytest.fixture
def page() -> Iterator[Page]:
    program = shutil.which("chromium")
    if program is None:
        skip_or_fail("REQUIRE_CHROMIUM", "chromium not found: tests of the page")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=FLAGS)
        context = browser.new_context(viewport=WIDE, color_scheme="light")
        context.set_default_timeout(PATIENT_MS)
        yield context.new_page()
        browser.close()


def faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]} {node.get('failureSummary')}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def picture(page: Page, directory: str | None, name: str) -> None:
    if directory:
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=Path(directory) / f"page-{name}.png")


def refuse(shell: CommandLine) -> None:
    """A message that is no event, past everybody who would have said so before."""
    servers = servers_file.read(shell.directory / ".streamrec")
    assert servers is not None
    publisher = KafkaPublisher(KafkaSettings(bootstrap=servers.kafka_bootstrap), "test")
    publisher.publish("events", b"u1", b"no event")
    publisher.flush()
    publisher.close()


def confirm(page: Page, why: str) -> None:
    expect(page.locator("#confirm")).to_be_visible()
    page.fill("#why", why)
    page.click("#confirm-yes")


@pytest.mark.timeout(500)
def test_the_page_shows_a_loop_that_learns_and_is_operated(
    page: Page, http: httpx.Client, secret: str, shell: CommandLine, request: pytest.FixtureRequest
) -> None:
    figures = request.config.getoption("--page-figures")
    expect.set_options(timeout=PATIENT_MS)
    said, asked = [], []
    page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda one: asked.append(one.url))

    # it loads; the key leaves the address; it updates as events come
    page.goto(f"{http.base_url}/#key={secret}")
    expect(page).to_have_url(re.compile(r"^[^#]+$"))
    expect(page.locator("#health")).to_contain_text("operator")
    events = page.locator(".tile .value").first
    expect(events).not_to_have_text("0/s")
    before = events.text_content()
    expect(events).not_to_have_text(before or "")

    # a user: history, a list as it is made, why; foreign text is only text
    page.fill("#user", "u1")
    page.click("#person button:first-of-type")
    expect(page.locator("#list li")).to_have_count(10)
    expect(page.locator("#history")).to_contain_text(BAD)
    shown = page.locator("#list-note").text_content()
    expect(page.locator("#list-note")).not_to_have_text(shown or "")

    # back, confirmed with a reason that the control log keeps
    expect(page.locator("[data-act=rollback]")).to_be_enabled()
    if figures:  # a chart needs some time
        eventually(lambda: len(http.get("/v1/overview").json()["series"]) >= 12)
        page.wait_for_timeout(3_000)
    picture(page, figures, "light")
    page.click("[data-act=rollback]")
    confirm(page, "odd lists since noon")
    expect(page.locator("#champion")).to_contain_text("odd lists since noon")
    (back, *_) = [
        one for one in http.get("/v1/generations").json()["log"] if one["action"] == "rollback"
    ]
    assert (back["actor"], back["reason"]) == ("key:operator", "odd lists since noon")
    page.click("[data-act=unpin]")
    confirm(page, "it was the weather")
    expect(page.locator("#champion")).not_to_contain_text("pinned")

    # a query
    page.fill("#query", "rockets")
    page.click("#ask")
    expect(page.locator("#list-title")).to_contain_text("rockets")
    expect(page.locator("#list li")).to_have_count(10)

    # what was refused is shown, and what would be refused again is not sent
    refuse(shell)
    expect(page.locator("#letters-note")).to_contain_text("1 refused: events")
    page.click("#letters button")
    confirm(page, "perhaps now")
    expect(page.locator("#banner")).to_contain_text("Not resent")

    # in the dark, and on a phone, without a fault that axe knows
    assert faults(page) == []
    page.click("#theme")
    picture(page, figures, "dark")
    assert faults(page) == []
    page.set_viewport_size(NARROW)
    picture(page, figures, "phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    assert said == []
    assert {httpx.URL(url).host for url in asked if url.startswith("http")} == {http.base_url.host}
    policy = http.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
