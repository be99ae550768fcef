// The ladder diagram of one recovery: core, rewatch and server as lifelines,
// time going down, one row for each step {at, from, to, what}.

import { el, precise, span, svg, when } from "./dom.js";

const places = ["core", "rewatch", "server"];
const headHeight = 30;
const rowHeight = 38;

// rows puts the steps in order of time (a NOTIFY is told of only once its outcome
// is known) and joins the two arrows of a message that rewatch passed on.
export function rows(steps) {
  const sorted = [...steps].sort((a, b) => precise(a.at) - precise(b.at));
  const joined = [];
  for (const step of sorted) {
    const last = joined[joined.length - 1];
    if (last && !last.via && last.to === "rewatch" && step.from === "rewatch" && last.from !== "rewatch"
      && last.from !== step.to && step.to !== "rewatch" && last.what === step.what && last.at === step.at) {
      joined[joined.length - 1] = { ...last, to: step.to, via: true };
    } else {
      joined.push(step);
    }
  }
  return joined;
}

export function ladder(steps, aor) {
  const holder = el("div", "");
  const draw = () => {
    const width = Math.floor(holder.clientWidth);
    if (width < 100 || holder.dataset.width === String(width)) return;
    holder.dataset.width = String(width);
    holder.replaceChildren(picture(steps, width, aor));
  };
  // Drawn for the width at hand rather than scaled, so that text stays legible
  // on a phone; it gets a width once its card is opened.
  new ResizeObserver(draw).observe(holder);
  return holder;
}

function picture(steps, width, aor) {
  const left = width < 420 ? 56 : 76;
  const margin = width < 420 ? 34 : 60;
  const gap = (width - left - 2 * margin) / 2;
  const x = Object.fromEntries(places.map((p, i) => [p, left + margin + i * gap]));
  const height = headHeight + steps.length * rowHeight + 20;
  const start = steps.length ? when(steps[0].at) : 0;

  const root = svg("svg", {
    class: "ladder", viewBox: `0 0 ${width} ${height}`, height, role: "img",
    "aria-label": `Messages of the recovery of ${aor}, ${steps.length} steps`,
  });
  root.append(svg("desc", {}, asText(steps)));
  for (const place of places) root.append(lifeline(place, x[place], height));
  steps.forEach((step, i) => {
    const y = headHeight + (i + 1) * rowHeight - 6;
    root.append(time(when(step.at) - start, y));
    root.append(places.includes(step.from) && step.from !== step.to && places.includes(step.to)
      ? arrow(step, x, y, left, width)
      : note(step, x[step.from] || x.rewatch, y, left, width));
  });
  return root;
}

function lifeline(place, x, height) {
  const label = svg("text", { x, y: 20, "text-anchor": "middle" }, place);
  const box = svg("rect", { x: x - 32, y: 4, width: 64, height: 24, rx: 8 });
  const line = svg("line", { class: "life", x1: x, x2: x, y1: headHeight, y2: height - 4 });
  return svg("g", { class: "head" }, line, box, label);
}

function time(ms, y) {
  return svg("text", { class: "time", x: 0, y: y + 4 }, relative(ms));
}

function relative(ms) {
  if (!isFinite(ms)) return "";
  return ms < 100000 ? `+${(ms / 1000).toFixed(3)} s` : `+${span(ms)}`;
}

function arrow(step, x, y, left, width) {
  const from = x[step.from], to = x[step.to];
  const toward = to > from ? 1 : -1;
  const group = svg("g", { class: kind(step) },
    svg("line", { class: "arrow" + (isAnswer(step) ? " answer" : ""), x1: from, x2: to - toward * 6, y1: y, y2: y }),
    svg("path", { class: "tip", d: `M${to} ${y} l${-toward * 9} -4.5 v9 z` }));
  if (step.via) group.append(svg("circle", { class: "tip", cx: x.rewatch, cy: y, r: 3 }));
  group.append(label(step.what, (from + to) / 2, y - 7, left, width));
  return group;
}

function note(step, x, y, left, width) {
  const text = label(step.what, x, y + 4, left + 8, width - 8);
  const half = widthOf(text.firstChild.data) / 2 + 9;
  const middle = Number(text.getAttribute("x"));
  text.removeAttribute("class");
  return svg("g", { class: `note ${kind(step)}` },
    svg("rect", { x: middle - half, y: y - 12, width: 2 * half, height: 23, rx: 8 }), text);
}

// label puts a text over the middle of its arrow, moved and shortened as far as
// the edges of the picture want it. The whole text is in its title.
function label(what, middle, y, left, right) {
  const room = right - left;
  let text = String(what ?? "");
  while (text.length > 4 && widthOf(text) > room) text = text.slice(0, -2).trimEnd() + "…";
  const half = widthOf(text) / 2;
  const x = Math.min(Math.max(middle, left + half), right - half);
  return svg("text", { class: "label", x, y, "text-anchor": "middle" }, text, svg("title", {}, String(what ?? "")));
}

let ruler;

function widthOf(text) {
  if (!ruler) {
    ruler = document.createElement("canvas").getContext("2d");
    ruler.font = "12.5px " + getComputedStyle(document.body).fontFamily;
  }
  return ruler.measureText(text).width;
}

const isAnswer = (step) => /^[1-6]\d\d\b/.test(step.what);
// The 481 to the server is what rewatch means to say: it ends the subscription there.
const deliberate = (step) => step.from === "rewatch" && step.to === "server" && /^481\b/.test(step.what);
const failed = (step) => !deliberate(step) && /^[3-6]\d\d\b|no response|timeout|timed out|unreachable|refused|gave up|giving up|failed|not de-registered/i.test(step.what);

// kind is the colour: what went wrong, what rewatch said itself, what went well.
function kind(step) {
  if (failed(step)) return "fail";
  if (/^(2\d\d|recovered|proven)\b/i.test(step.what)) return "fine";
  return deliberate(step) || step.from === "rewatch" && /^(MESSAGE|REGISTER|sign-out)\b|terminated;/.test(step.what) ? "own" : "";
}

// asText is the diagram for the clipboard and for screen readers.
export function asText(steps) {
  const start = steps.length ? when(steps[0].at) : 0;
  return steps.map((s) => {
    const at = relative(when(s.at) - start).padStart(11);
    return s.from === s.to ? `${at}  ${s.from}: ${s.what}` : `${at}  ${s.from} -> ${s.to}: ${s.what}`;
  }).join("\n");
}
