// Elements whose text is only ever text: titles and reasons are foreign data.
export const $ = (id) => document.getElementById(id);

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") made.addEventListener("click", value);
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.map((child) => (child instanceof Node ? child : String(child ?? ""))));
  return made;
}

export function fill(node, ...children) { node.replaceChildren(...children); }

export function table(node, columns, rows) {
  fill(node,
    el("thead", {}, el("tr", {}, ...columns.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((cell) => el("td", {}, cell))))));
}

export const number = (value, digits = 1) =>
  value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits });

export function ago(ms) {
  const s = Math.max(0, Math.round((Date.now() - ms) / 1000));
  if (s < 90) return `${s} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  return s < 172800 ? `${Math.round(s / 3600)} h ago` : new Date(ms).toISOString().slice(0, 10);
}
export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

// One or two lines over time; what they say in words is the label.
const SVG = "http://www.w3.org/2000/svg";
export function spark(label, ...lines) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 40"); svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img"); svg.setAttribute("aria-label", label);
  const base = document.createElementNS(SVG, "line");
  for (const [k, v] of [["x1", 0], ["x2", 100], ["y1", 39], ["y2", 39]]) base.setAttribute(k, v);
  svg.append(base);
  const top = Math.max(...lines.flat().filter((v) => v !== null), 1e-9);
  lines.forEach((values, which) => {
    let drawn = "", pen = "M";
    values.forEach((value, at) => {
      if (value === null) { pen = "M"; return; }
      const x = values.length > 1 ? (at / (values.length - 1)) * 100 : 100;
      drawn += `${pen}${x.toFixed(2)} ${(38 - (value / top) * 35).toFixed(2)}`; pen = "L";
    });
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", drawn); path.setAttribute("class", which ? "second" : "first");
    svg.append(path);
  });
  return svg;
}
