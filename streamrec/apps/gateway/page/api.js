// The gateway's routes, with the key of this tab. The key comes in the fragment, which no server
// sees, and leaves the address at once.
const STORED = "streamrec-key";

export function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    sessionStorage.setItem(STORED, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
}
export const key = () => sessionStorage.getItem(STORED) ?? "";
export function useKey(value) {
  if (value) sessionStorage.setItem(STORED, value); else sessionStorage.removeItem(STORED);
}

function headers(more = {}) { return key() ? { ...more, Authorization: `Bearer ${key()}` } : more; }

export class Refusal extends Error {
  constructor(status, problem) { super(problem.detail || problem.title || `HTTP ${status}`); this.status = status; this.code = problem.code; }
}

async function answered(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, body);
  return body;
}
export const get = async (path) => answered(await fetch(path, { headers: headers() }));
export const post = async (path, body) => answered(await fetch(path, {
  method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body),
}));

// Server-sent events by fetch, because EventSource sends no header.
export async function listen(path, signal, take) {
  const response = await fetch(path, { headers: headers({ Accept: "text/event-stream" }), signal });
  if (!response.ok) return void (await answered(response));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n"); text = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
      if (data) take(JSON.parse(data));
    }
  }
}
