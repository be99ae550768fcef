// The console: fetches what the API tells every two seconds and changes on the
// page only what has changed.

import { el, figure, keyed, now, setClock, setText, span, when } from "./dom.js";
import { alarm, recovery, user } from "./cards.js";
import { ask, setUp } from "./change.js";

const every = 2000;
const node = (id) => document.getElementById(id);
const userAlarms = ["watcher-exhausted", "watcher-banned"];

let data = null;
let failures = 0;
let timer;

async function get(path) {
  const response = await fetch(`/api/v1/${path}`, { signal: AbortSignal.timeout(8000) });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

async function refresh() {
  clearTimeout(timer);
  try {
    const [summary, recoveries, alarms] = await Promise.all([get("summary"), get("recoveries?limit=200"), get("alarms")]);
    data = { summary, recoveries: recoveries.items || [], alarms: alarms.items || [] };
    setClock(summary.now);
    failures = 0;
  } catch {
    failures++;
  }
  show();
  // A hidden tab asks nothing; a rewatch that is away is asked less often.
  if (!document.hidden) timer = setTimeout(refresh, every * Math.min(1 + failures, 8));
}

function show() {
  showState();
  if (!data) return;
  const wanted = node("find").value.trim().toLowerCase();
  const match = (text) => !wanted || String(text).toLowerCase().includes(wanted);
  const found = data.recoveries.filter((r) => match(r.aor) || (r.broken || []).some((b) => match(b.resource)));
  showTotals(data.summary);
  showConditions(data.summary);
  const running = found.filter((r) => !when(r.ended) && r.phase !== "exhausted");
  list("broken", running, (r) => r.id ?? r.aor, recovery,
    wanted ? "No broken subscription matches." : "Nothing is broken. Every NOTIFY gets through.");
  list("ended", found.filter((r) => !running.includes(r)), (r) => r.id ?? r.aor + r.started, recovery,
    wanted ? "No earlier recovery matches." : "No recovery yet. Each one will be here with its messages.");
  list("users", users(data.alarms).filter((u) => match(u.aor)), (u) => u.aor, (u) => user(u, ask),
    wanted ? "No such user." : "Nobody at the moment.");
  list("alarms", data.alarms.filter((a) => !userAlarms.includes(a.name) && match(a.object + a.name)), (a) => a.id || a.name + a.object, alarm,
    wanted ? "No alarm matches." : "No alarm.");
  tick();
}

// users gathers the alarms about users by user.
function users(alarms) {
  const byUser = new Map();
  for (const a of alarms.filter((x) => userAlarms.includes(x.name))) {
    byUser.set(a.object, [...(byUser.get(a.object) || []), a]);
  }
  return [...byUser].map(([aor, list]) => ({ aor, alarms: list }));
}

function list(id, items, key, build, emptyText) {
  keyed(node(id), items, key, build);
  setText(node(`n-${id}`), items.length ? String(items.length) : "");
  setText(node(`e-${id}`), emptyText);
  node(`e-${id}`).hidden = items.length > 0;
}

function showState() {
  const pill = node("state");
  const [text, colour] = stateOf();
  setText(pill, text);
  pill.className = `pill ${colour}`;
  document.title = data && !failures && data.recoveries.some((r) => !when(r.ended)) ? "● rewatch" : "rewatch";
}

function stateOf() {
  if (failures) return ["No answer, trying again", "bad"];
  if (!data) return ["Connecting", ""];
  if (!data.summary.ready) return ["Not ready", "bad"];
  if (data.summary.outage) return ["Holding", "busy"];
  return ["Ready", "good"];
}

function showConditions(summary) {
  const waiting = (summary.conditions || []).filter((c) => !c.ok || c.name === "identity");
  if (summary.outage) waiting.push({ name: "The core fails for most users", detail: "nobody is counted or signed out until it works again", busy: true });
  keyed(node("conditions"), waiting, (c) => c.name, (c) =>
    el("li", c.busy ? "busy" : "", c.name, el("span", "", c.detail ? ` – ${c.detail}` : "")));
}

function showTotals(summary) {
  for (const dd of node("totals").querySelectorAll("[data-figure]")) {
    const value = summary[dd.dataset.figure];
    setText(dd, figure(value));
    dd.title = value >= 1e6 ? String(value) : "";
    dd.classList.toggle("alert", dd.dataset.figure === "exhausted" && users(data.alarms).length > 0);
  }
  setText(node("version"), summary.version || "rewatch");
}

// tick renews the texts that depend on the time alone.
function tick() {
  for (const n of document.querySelectorAll("[data-ticking]")) setText(n, n.ticking());
  if (data) setText(node("uptime"), `· up ${span(now() - when(data.summary.started))}`);
}

setUp(refresh);
setInterval(tick, 1000);
node("find").addEventListener("input", show);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
refresh();
