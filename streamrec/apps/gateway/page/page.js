import { Refusal, get, listen, post, takeKey, useKey } from "./api.js";
import { $, ago, clock, el, fill, number, spark, table } from "./dom.js";

const OVERVIEW_MS = 2000, GENERATIONS_MS = 4000, LETTERS_MS = 6000;
let admin = false, stream = null, shownUser = "", told = null;

function say(text, good = false) {
  const banner = $("banner");
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = !text; banner.classList.toggle("good", good);
  told = good ? Date.now() : null;
}
function fault(error) {
  if (error instanceof Refusal && (error.status === 401 || error.status === 403)) return say(`${error.message}. Use “Key …” above.`);
  say(error instanceof TypeError ? "The gateway does not answer; trying again." : error.message);
}

// -- look ---------------------------------------------------------------------------------

const share = (part, whole) => (whole ? part / whole : null);
function smooth(series, name, over = 12) { // hits of a minute: a few seconds are too few clicks
  return series.map((_, at) => {
    const window = series.slice(Math.max(0, at + 1 - over), at + 1);
    return share(window.reduce((s, p) => s + p[name], 0), window.reduce((s, p) => s + p.clicks, 0));
  });
}
const percent = (value) => (value === null ? "–" : `${number(value * 100)} %`);

function tile(name, value, beside, ...lines) {
  return el("div", { class: "tile" }, el("p", { class: "name" }, name), el("p", { class: "value" }, value),
    el("p", { class: "beside" }, beside), spark(`${name} over the last quarter of an hour, now ${value}; ${beside}`, ...lines));
}

function showMeasures({ now, series, sampled }) {
  const served = smooth(series, "hits"), popular = smooth(series, "popular_hits");
  const total = (name) => series.reduce((s, p) => s + p[name], 0);
  const hit = share(total("hits"), total("clicks")), beside = share(total("popular_hits"), total("clicks"));
  const of = (what, p) => series.map((point) => point[what][p]);
  const note = sampled < 1 ? `, ${number(sampled * 100)} % of users measured` : "";
  fill($("tiles"),
    tile("Events", `${number(now.events_per_s)}/s`, `${number(now.lists_per_s)} lists/s${note}`, series.map((p) => p.events_per_s)),
    tile("Event to list", `${number(now.latency_ms.p50, 0)} ms`, `95 %: ${number(now.latency_ms.p95, 0)} ms`, of("latency_ms", "p50"), of("latency_ms", "p95")),
    tile("Click to model", `${number(now.freshness_s.p50)} s`, `95 %: ${number(now.freshness_s.p95)} s`, of("freshness_s", "p50").filter((v) => v !== null)),
    tile("Hit rate@10", percent(hit), `most popular: ${percent(beside)}`, served, popular));
  if ($("series").closest("details").open) {
    table($("series"), ["time", "events/s", "lists/s", "median ms", "95 % ms", "fresh s", "clicks", "hits", "popular hits"],
      [...series].reverse().map((p) => [clock(p.at_ms), p.events_per_s, p.lists_per_s, number(p.latency_ms.p50, 0), number(p.latency_ms.p95, 0), number(p.freshness_s.p50), p.clicks, p.hits, p.popular_hits]));
  }
}

function showParts(status) {
  table($("topics"), ["topic", "messages", "per second", "waiting"],
    status.topics.map((t) => [t.topic, number(t.written), number(t.per_second), t.lag === null ? "–" : number(t.lag)]));
  table($("workers"), ["worker", "answers with", "up since", "heard"],
    status.workers.map((w) => [w.worker_id, w.active ?? "–", clock(w.started_at_ms), ago(w.beat_at_ms)]));
}

async function overview() {
  const found = await get("/v1/overview");
  admin = found.caller.roles.includes("admin");
  $("release").hidden = !admin;
  showMeasures(found);
  const status = found.status;
  if (status) {
    showParts(status);
    const lag = status.topics.find((t) => t.topic === "events")?.lag;
    $("health").textContent = `${status.workers.length} workers, ${lag ? `${number(lag)} events behind` : "nothing behind"}; ${admin ? `operator: ${found.caller.name}` : found.caller.name}`;
  }
  const wrong = [found.problem, status?.misfit, ...(status?.redis ?? []), ...(status?.waiting ?? []).map((w) => `${w.source} waits: ${w.why}`)].filter(Boolean);
  if (wrong.length) say(wrong.join("; "));
  else if (!told || Date.now() - told > 8000) say("");
}

// -- generations --------------------------------------------------------------------------

function gateText(generation) {
  const gate = generation.gate;
  if (!gate) return generation.parent ? "not judged" : "the first: nothing to compare with";
  if (!gate.accepted) return gate.reasons.join("; ");
  const numbers = Object.entries(gate.metrics).map(([name, m]) =>
    `${name} ${number(m.candidate, 3)} against ${number(m.champion, 3)} (±${number(m.standard_error, 3)})`);
  return `accepted on ${gate.examples} examples: ${numbers.join(", ")}`;
}

async function generations() {
  const found = await get("/v1/generations");
  const pin = found.pin ? `, pinned by ${found.pin.actor}: ${found.pin.reason || "no reason given"}` : "";
  const canary = found.canary ? `, canary ${found.canary.generation} for ${percent(found.canary.share)} of the users` : "";
  $("champion").textContent = found.champion ? `Champion ${found.champion}${pin}${canary}` : "no champion yet";
  const act = (name) => document.querySelector(`[data-act="${name}"]`);
  act("rollback").disabled = !found.previous; act("pin").disabled = Boolean(found.pin) || !found.champion; act("unpin").disabled = !found.pin;
  if (!$("generations").contains(document.activeElement)) {
    fill($("generations"), ...found.generations.slice(0, 12).map((one) => {
      const back = admin && one.state === "former champion"
        ? el("button", { type: "button", on: () => change("rollback", one.generation) }, `Back to ${one.generation} …`) : "";
      return el("li", { class: one.state.split(/[ ,]/)[0] },
        el("span", { class: "name" }, one.generation), el("span", { class: "tag" }, one.state), back,
        el("p", { class: "gate" }, `${one.created_at_ms ? `${ago(one.created_at_ms)}, ` : ""}${number(one.events)} events. ${gateText(one)}`));
    }));
  }
  table($("log"), ["when", "what", "generation", "who", "why"],
    found.log.map((s) => [clock(s.at_ms), s.action, s.generation ?? "–", s.actor, s.reason]));
}

// -- operators ----------------------------------------------------------------------------

function confirmed(title, text) {
  const dialog = $("confirm");
  $("confirm-title").textContent = title; $("confirm-text").textContent = text;
  $("why").value = ""; dialog.returnValue = ""; dialog.showModal(); $("why").focus();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes" ? $("why").value : null), { once: true }));
}
const CHANGES = {
  rollback: ["Roll back", (to) => `Every serving worker answers with ${to || "the champion before"} at once, and it stays until somebody unpins.`],
  pin: ["Pin the champion", () => "The trainer learns on; nothing new is activated."],
  unpin: ["Unpin", () => "The next good candidate is activated."],
};
async function change(what, to = "") {
  const [title, text] = CHANGES[what];
  const why = await confirmed(title, text(to));
  if (why === null) return;
  try {
    const done = await post(`/v1/admin/${what}`, to ? { why, to } : { why });
    const late = [...(done.silent ?? []), ...Object.keys(done.refused ?? {})];
    if (late.length || done.problem) say(`${title}: not confirmed by ${late.join(", ") || "everybody"} ${done.problem ?? ""}`);
    else say(`${title}: done, ${done.generation ?? done.champion}`, true);
    await generations();
  } catch (error) { fault(error); }
}

async function letters() {
  if (!admin) { fill($("letters")); return; }
  const found = await get("/v1/admin/dead-letters?limit=20");
  $("letters-note").textContent = found.total ? `${number(found.total)} refused: ${found.counts.map((c) => `${c.topic} ${c.code} ${c.letters}`).join(", ")}` : "Nothing was refused.";
  if ($("letters").contains(document.activeElement)) return;
  fill($("letters"), ...found.letters.map((one) => el("li", {},
    el("div", {}, `${one.message} ${one.code}`, el("div", { class: "why" }, one.reason)),
    one.resent ? el("span", { class: "note" }, `resent ${ago(one.resent.at_ms)}`)
      : el("button", { type: "button", "aria-label": `Resend ${one.letter}`, on: () => resend(one) }, "Resend …"))));
}
async function resend(letter) {
  const why = await confirmed("Resend a dead letter", `${letter.message} goes to its topic again, as it was. ${letter.advice ?? ""}`);
  if (why === null) return;
  try {
    const done = await post("/v1/admin/dead-letters/resend", { ids: [letter.letter], why });
    const not = done.not_resent[0];
    if (not) say(`Not resent: ${not.reason}`); else say("Resent.", true);
    await letters();
  } catch (error) { fault(error); }
}

// -- a user -------------------------------------------------------------------------------

function showList(found, asked = "") {
  $("list-title").textContent = asked ? `Answer to “${asked}”` : "List";
  $("list-note").textContent = `by ${found.generation}, ${number(found.served_at_ms - found.triggered_at_ms)} ms after ${found.trigger} ${found.trigger_id}, at ${clock(found.served_at_ms)}`;
  fill($("list"), ...found.items.slice(0, 20).map((item, at) => el("li", {},
    el("span", { class: "place" }, at + 1), el("span", {}, item.title || item.item_id),
    el("span", { class: "chance" }, percent(item.probability)), el("span", { class: "why" }, item.reason || ""))));
}
async function history_(user) {
  const found = await get(`/v1/users/${encodeURIComponent(user)}`);
  if (user !== shownUser) return;
  fill($("history"), ...found.history.slice(0, 20).map((one) => el("li", {},
    el("span", {}, one.title || one.item_id), el("span", { class: "when" }, ago(one.at_ms)))));
}
async function follow(user) {
  stream?.abort();
  const mine = (stream = new AbortController());
  shownUser = user; fill($("list")); fill($("history"));
  $("list-title").textContent = "List"; $("list-note").textContent = `Waiting for a list for ${user} …`;
  while (!mine.signal.aborted) {
    try {
      await history_(user);
      await listen(`/v1/users/${encodeURIComponent(user)}/stream`, mine.signal, (found) => {
        if (mine.signal.aborted || found.trigger !== "user-update") return;
        showList(found); history_(user).catch(fault);
      });
    } catch (error) { if (mine.signal.aborted) return; fault(error); }
    await new Promise((go) => setTimeout(go, 2000));
  }
}
async function ask() {
  const user = $("user").value.trim(), query = $("query").value.trim();
  if (!$("person").reportValidity()) return;
  $("list-note").textContent = "asking …";
  try {
    showList(await post("/v1/recommendations", { user_id: user, query: query || null, wait_s: 10 }), query || "asked just now");
    shownUser = user; history_(user).catch(fault);
  } catch (error) { $("list-note").textContent = error.message; fault(error); }
}
async function users() {
  const { users: found } = await get("/v1/users?limit=30");
  fill($("users"), ...found.map((one) => el("option", { value: one.user_id })));
  if ($("recent").contains(document.activeElement)) return;
  fill($("recent"), ...found.slice(0, 12).map((one) => el("button", {
    type: "button", "aria-pressed": String(one.user_id === shownUser), on: () => { $("user").value = one.user_id; follow(one.user_id); },
  }, one.user_id)));
}

// -- start --------------------------------------------------------------------------------

function theme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").setAttribute("aria-pressed", String(dark));
}
function every(ms, step) {
  const turn = async () => {
    if (!document.hidden) await step().catch(fault);
    setTimeout(turn, ms);
  };
  return turn();
}

takeKey();
window.addEventListener("hashchange", () => { takeKey(); overview().catch(fault); });
const preferred = matchMedia("(prefers-color-scheme: dark)");
const chosen = localStorage.getItem("streamrec-theme");
theme(chosen ? chosen === "dark" : preferred.matches);
preferred.addEventListener("change", () => { if (!localStorage.getItem("streamrec-theme")) theme(preferred.matches); });
$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme !== "dark";
  localStorage.setItem("streamrec-theme", dark ? "dark" : "light"); theme(dark);
});
$("key-button").addEventListener("click", () => { $("key").value = ""; $("key-dialog").returnValue = ""; $("key-dialog").showModal(); });
$("key-dialog").addEventListener("close", () => {
  if ($("key-dialog").returnValue !== "yes") return;
  useKey($("key").value.trim()); $("key").value = "";
  overview().then(letters).then(generations).catch(fault);
});
$("person").addEventListener("submit", (event) => { event.preventDefault(); follow($("user").value.trim()); });
$("ask").addEventListener("click", ask);
for (const button of document.querySelectorAll("[data-act]")) button.addEventListener("click", () => change(button.dataset.act));

every(OVERVIEW_MS, overview).then(() => { every(LETTERS_MS, letters); });
every(GENERATIONS_MS, generations);
every(GENERATIONS_MS, users);
