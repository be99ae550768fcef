// The console fetches the answers of the API every two seconds, and changes on the page
// only what is different.

import { el, figure, keyed, now, setClock, setText, span, when } from "./dom.js";
import { alarm, client, person, recovery, user } from "./cards.js";
import { ask, control, setUp } from "./change.js";
import { chips, notices } from "./state.js";

const every = 2000;
const node = (id) => document.getElementById(id);
const userAlarms = ["watcher-exhausted", "watcher-banned"];

let data = null;
let people = [];
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
    const [summary, recoveries, alarms, clients] = await Promise.all(
      [get("summary"), get("recoveries?limit=200"), get("alarms"), get("clients")]);
    data = { summary, recoveries: recoveries.items || [], alarms: alarms.items || [], clients: clients.items || [] };
    setClock(summary.now);
    failures = 0;
  } catch {
    failures++;
  }
  show();
  // A hidden tab asks nothing; a rewatch that does not answer is asked less often.
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
  setText(node("t-broken"), running.length && running.every((r) => r.delivery) ? "Waiting for phones" : "Broken now");
  const s = data.summary;
  const tools = { get, captures: s.captures, ask: s.can_change ? ask : null };
  const card = (r, old) => recovery(r, old, tools);
  list("broken", running, (r) => r.id ?? r.aor, card,
    wanted ? "No running recovery matches." : calm());
  list("ended", found.filter((r) => !running.includes(r)), (r) => r.id ?? r.aor + r.started, card,
    wanted ? "No earlier recovery matches." : "No recovery yet. Each one will be listed here with its messages.");
  list("users", users(data.alarms).filter((u) => match(u.aor)), (u) => u.aor, (u) => user(u, data.summary.can_change ? ask : null),
    wanted ? "No user who is given up matches." : "Nobody at the moment.");
  list("alarms", data.alarms.filter((a) => match(a.object + a.name)), (a) => a.id || a.name + a.object, alarm,
    wanted ? "No alarm matches." : "No alarm.");
  list("clients", wanted ? [] : data.clients, (c) => c.family, client, "No client is subscribed.");
  node("s-clients").hidden = Boolean(wanted);
  list("people", people, (p) => p.aor, (p, old) => person(p, old, get), "No known user has this text in its address.");
  node("s-people").hidden = !wanted;
  tick();
}

// calm is the text when no recovery runs: it says whether that means that all is well.
function calm() {
  const s = data.summary;
  if (s.modes.some((m) => m !== "normal")) return "No recovery runs.";
  if (users(data.alarms).length) return "No recovery runs. Some users are given up; see the list of them.";
  if (s.kept > 0) return "No recovery runs. NOTIFYs wait for their clients.";
  if (s.subscriptions === 0) return "No subscription is known yet, so nothing can be broken.";
  if (data.alarms.length) return "No recovery runs. Alarms are raised.";
  return "Nothing is broken. Every NOTIFY gets through.";
}

// search asks for all known users, also those without a recovery.
async function search() {
  const wanted = node("find").value.trim();
  try {
    people = wanted ? (await get(`watchers?limit=20&find=${encodeURIComponent(wanted)}`)).items || [] : [];
  } catch {
    people = [];
  }
  if (wanted === node("find").value.trim()) show();
}

// users gathers the alarms about users by user.
function users(alarms) {
  const byUser = new Map();
  for (const a of alarms.filter((x) => userAlarms.includes(x.name))) {
    byUser.set(a.object, [...(byUser.get(a.object) || []), a]);
  }
  return [...byUser].map(([aor, list]) => ({
    aor, alarms: list, standing: data.recoveries.find((r) => r.aor === aor)?.standing,
  }));
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
  return chips(data.summary);
}

function showConditions(summary) {
  const waiting = notices(summary);
  control(summary);
  keyed(node("conditions"), waiting, (c) => c.name, (c) =>
    el("li", c.busy ? "busy" : "", c.name, el("span", "", c.detail ? ` – ${c.detail} ` : ""), c.hop ? release(c.hop) : null));
}

// release is the button that ends the hold of one next hop.
function release(hop) {
  const b = el("button", "small", "End this hold");
  b.type = "button";
  b.hidden = !data.summary.can_change;
  b.setAttribute("aria-label", `End the hold of ${hop}`);
  b.addEventListener("click", () => ask(hop, "release"));
  return b;
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
let typing;
node("find").addEventListener("input", () => {
  show();
  clearTimeout(typing);
  typing = setTimeout(search, 250);
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
refresh();
