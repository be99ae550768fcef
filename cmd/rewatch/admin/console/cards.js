// One card for each thing the console shows.

import { el, now, span, when } from "./dom.js";
import { asText, ladder, rows } from "./ladder.js";

const phases = {
  idle: ["Done", "good"],
  gathering: ["Just broke", "busy"],
  notifying: ["Telling the user", "busy"],
  waiting: ["Waiting for SUBSCRIBE", "busy"],
  proving: ["Waiting for NOTIFY", "busy"],
  exhausted: ["Given up", "bad"],
};
const phaseNames = ["idle", "gathering", "notifying", "waiting", "proving", "exhausted"];
// standings say more than a phase or a result does.
const standings = {
  held: ["Held", "busy"],
  banned: ["Banned", "bad"],
  "signed-out": ["Signed out", "bad"],
  "signing-out": ["Is being signed out", "busy"],
  registered: ["Given up, still registered", "bad"],
};
const results = {
  recovered: ["Recovered", "good"],
  exhausted: ["Given up", "bad"],
  abandoned: ["No longer needed", ""],
  delivered: ["Delivered", "good"],
  dropped: ["No longer needed", ""],
  "given-back": ["Not delivered", "bad"],
};
const progressNames = ["lost", "resubscribed", "proven"];
const progressTexts = { lost: "Lost", resubscribed: "Subscribed again", proven: "Back" };

const named = (value, names) => (typeof value === "number" ? names[value] : String(value ?? "").toLowerCase());

export function chip([text, colour]) {
  return el("span", `chip ${colour}`, text);
}

// ticking is a text that depends on the time now; app.js asks for it each second.
export function ticking(text) {
  const node = el("span", "", text());
  node.ticking = text;
  node.dataset.ticking = "";
  return node;
}

// recovery is a card that opens to the ladder. The ladder is built when the card
// is opened: a hundred closed cards cost nothing. The address of the page names
// the card that was opened last, so that it can be sent to a colleague.
// tools has what it needs of the page: {get, captures, ask}.
export function recovery(r, old, tools) {
  const running = !when(r.ended);
  const card = el("details", running ? "card" : "card ended");
  card.append(el("summary", "", headOf(r, running), factsOf(r, running)));
  const fill = () => {
    if (card.open && !card.querySelector(".inside")) card.append(inside(r, tools));
  };
  card.addEventListener("toggle", () => {
    fill();
    if (card.open) history.replaceState(null, "", `#${encodeURIComponent(r.id)}`);
  });
  if (old ? old.open : location.hash === `#${encodeURIComponent(r.id)}`) {
    card.open = true;
    fill();
  }
  return card;
}

// keptText tells what waits for the phones of a user.
const keptText = (k) => `kept for the phone: ${k.notifies}, since ${new Date(when(k.since)).toLocaleTimeString()}`;

function headOf(r, running) {
  const state = running && r.delivery ? ["Kept for the phone", "busy"] : (running || r.result === "exhausted") && standings[r.standing] || (running
    ? phases[named(r.phase, phaseNames)] || [String(r.phase), "busy"]
    : results[r.result] || [String(r.result || "Ended"), ""]);
  const age = running
    ? ticking(() => `for ${span(now() - brokeAt(r))}`)
    : ticking(() => `${span(now() - when(r.ended))} ago`);
  age.className = "end";
  return row(el("span", "chevron"), r.aor, chip(state), age);
}

// row is the first line of a card: what it is about, in what state, since when.
function row(mark, name, state, age) {
  return el("div", "row", mark, el("div", "who", el("span", "aor", ...breakable(name)), state), age);
}

// breakable lets an address break before its domain rather than anywhere.
function breakable(name) {
  const at = String(name).lastIndexOf("@");
  return at > 0 ? [name.slice(0, at), el("wbr", ""), name.slice(at)] : [String(name)];
}

function factsOf(r, running) {
  const facts = el("div", "facts");
  if (r.of > 0 && r.attempt > 0) facts.append(tries(r), `MESSAGE ${r.attempt} of ${r.of}`, " · ");
  facts.append(r.delivery ? missedText(r.broken || []) : brokenText(r.broken || [], r.more || 0));
  if (r.kept) facts.append(` · ${keptText(r.kept)}`);
  const deadline = when(r.deadline);
  if (running && r.standing === "held") {
    facts.append(" · ", `waits for the end of the hold${r.hop ? ` of ${r.hop}` : ""}`);
  } else if (running && deadline) {
    facts.append(" · ", ticking(() => {
      const left = deadline - now();
      return left > 0 ? `next step in ${span(left)}` : "next step is due";
    }));
  }
  if (!running) facts.append(` · took ${span(when(r.ended) - brokeAt(r))}`);
  return facts;
}

// brokeAt is when the first subscription broke, which is before rewatch knew of it: with
// the NOTIFY that got no answer.
function brokeAt(r) {
  const known = (r.broken || []).map((b) => when(b.since)).concat((r.steps || []).map((s) => when(s.at)), when(r.started));
  return Math.min(...known.filter((t) => t));
}

function tries(r) {
  if (r.of > 10) return "";
  const marks = Array.from({ length: r.of }, (_, i) => el("i", i < r.attempt ? "on" : ""));
  const node = el("span", "tries", ...marks);
  node.setAttribute("aria-hidden", "true");
  return node;
}

function brokenText(broken, beyond) {
  if (broken.length === 0) return "no subscription is broken now";
  const [first] = broken;
  const others = broken.length - 1 + beyond;
  const rest = others > 0 ? ` and ${others} more` : "";
  return `${first.event} of ${first.resource}${rest}: ${first.cause || "unknown cause"}`;
}

// missedText is the state that a phone has not got yet; its subscription is not broken.
function missedText(broken) {
  return broken.map((b) => `${b.event} of ${b.resource}`).join(", ");
}

function inside(r, tools) {
  const box = el("div", "inside");
  if (!r.delivery && (r.broken || []).length) box.append(subscriptions(r.broken, r.more || 0));
  const steps = rows(r.steps || []);
  if (steps.length === 0) {
    box.append(el("p", "facts", "No messages were recorded."));
    return box;
  }
  const copy = el("button", "small", "Copy as text");
  copy.type = "button";
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(`${r.aor}\n${asText(steps)}\n`);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "The browser refused";
    }
    setTimeout(() => { copy.textContent = "Copy as text"; }, 1500);
  });
  const began = when(steps[0].at);
  const buttons = el("div", "tools", el("span", "", began ? `Began ${new Date(began).toLocaleString()}` : ""), copy);
  box.append(ladder(steps, r.aor), buttons);
  if (tools.captures) {
    if (tools.ask) buttons.append(download(r, tools.ask));
    box.append(messages(r, tools.get));
  }
  return box;
}

function download(r, ask) {
  const b = el("button", "small", "Download pcap");
  b.type = "button";
  b.addEventListener("click", () => ask(r.id, "pcap"));
  return b;
}

// messages are those of a recovery with their Call-ID, CSeq and branch; they are fetched when
// the list is opened.
function messages(r, get) {
  const box = el("details", "messages");
  box.append(el("summary", "", "Call-IDs, CSeqs and branches"));
  box.addEventListener("toggle", async () => {
    if (!box.open || box.querySelector("table, p")) return;
    try {
      const list = (await get(`recoveries/${encodeURIComponent(r.id)}/messages`)).items || [];
      box.append(list.length ? messageTable(list) : el("p", "facts", "These messages are no longer kept."));
    } catch {
      box.append(el("p", "facts", "These messages cannot be read now."));
    }
  });
  return box;
}

function messageTable(list) {
  const head = el("tr", "", ...["Time", "From", "To", "Message", "Call-ID", "CSeq", "Branch"].map((t) => el("th", "", t)));
  const lines = list.map((m) => el("tr", "", ...[new Date(when(m.at)).toISOString().slice(11, 23), m.from, `${m.to} ${m.transport}`,
    m.start, m.call_id, m.cseq, m.branch].map((t) => el("td", "", t))));
  return el("div", "scroll", el("table", "subs", el("thead", "", head), el("tbody", "", ...lines)));
}

function subscriptions(broken, beyond) {
  const head = el("tr", "", ...["Event", "Resource", "Cause", "Now"].map((t) => el("th", "", t)));
  const most = 12;
  const rows = broken.slice(0, most).map((b) => {
    const resource = el("td", "", b.resource);
    resource.title = `Call-ID ${b.call_id}`;
    const progress = named(b.progress, progressNames);
    return el("tr", "", el("td", "", b.event), resource, el("td", "", b.cause),
      el("td", "", progressTexts[progress] || progress));
  });
  const others = Math.max(broken.length - most, 0) + beyond;
  if (others > 0) {
    const more = el("td", "", `and ${others} more`);
    more.colSpan = 4;
    rows.push(el("tr", "", more));
  }
  return el("table", "subs", el("thead", "", head), el("tbody", "", ...rows));
}

// user is the card of a user who is given up: {aor, alarms}.
export function user(u, ask) {
  const banned = u.alarms.find((a) => a.name === "watcher-banned");
  const first = u.alarms[0];
  const card = el("article", "card");
  const since = ticking(() => `since ${span(now() - when(first.raised_at))}`);
  since.className = "end";
  const buttons = el("div", "buttons");
  const button = (text, what) => {
    const b = el("button", "", text);
    b.type = "button";
    b.setAttribute("aria-label", `${text} ${u.aor}`);
    b.addEventListener("click", () => ask(u.aor, what));
    buttons.append(b);
  };
  if (ask && banned) button("Lift the ban", "unban");
  if (ask) button("Forgive", "reset");
  const state = standings[u.standing === "held" ? "" : u.standing] || (banned ? ["Banned", "bad"] : ["Given up", "bad"]);
  card.append(el("div", "plain",
    row(null, u.aor, chip(state), since),
    el("div", "facts", (banned || first).text), buttons));
  return card;
}

const severities = { critical: "bad", major: "bad", minor: "busy", warning: "busy" };

export function alarm(a) {
  const since = ticking(() => `since ${span(now() - when(a.raised_at))}`);
  since.className = "end";
  const card = el("article", "card", el("div", "plain",
    row(null, a.name, chip([a.severity, severities[a.severity] || ""]), since),
    el("div", "facts", el("b", "", a.object), a.text && a.text !== a.object ? ` · ${a.text}` : "")));
  card.title = `${a.event_type || ""} / ${a.probable_cause || ""} · ${a.id}`;
  return card;
}

// client is the card of one family of clients: how many failed, and what brought them back.
export function client(c) {
  const back = Object.entries(c.returns).filter(([, n]) => n > 0).map(([by, n]) => `${n} by ${by}`);
  return el("article", "card", el("div", "plain",
    row(null, c.family === "unknown" ? "Clients without a User-Agent" : c.family,
      chip([`${c.subscriptions} subscribed`, ""]), chip([`${c.failures} failed`, ""]), null),
    el("div", "facts", back.length ? `Came back: ${back.join(", ")}` : c.failures ? "None has come back yet." : "None has failed.")));
}

// person is the card of a known user, whatever its state. Details are fetched when the card
// is opened.
export function person(p, old, get) {
  const card = el("details", "card");
  const state = p.registered ? ["Registered", "good"] : ["Not registered", ""];
  card.append(el("summary", "", row(el("span", "chevron"), p.aor, chip(state), null),
    el("div", "facts", `${p.subscriptions} subscription${p.subscriptions === 1 ? "" : "s"}${p.last_hop ? ` · by ${p.last_hop}` : ""}`)));
  const fill = async () => {
    if (!card.open || card.querySelector(".inside")) return;
    const box = el("div", "inside");
    card.append(box);
    try {
      box.append(...known(await get(`watchers/${encodeURIComponent(p.aor)}`)));
    } catch {
      box.append(el("p", "facts", "Details of this user cannot be read now."));
    }
  };
  card.addEventListener("toggle", fill);
  if (old && old.open) {
    card.open = true;
    fill();
  }
  return card;
}

function known(p) {
  const time = (t) => (when(t) ? new Date(when(t)).toLocaleString() : "–");
  const head = el("tr", "", ...["Event", "Resource", "Device", "State", "Last NOTIFY", "Until"].map((t) => el("th", "", t)));
  const lines = (p.list || []).map((s) => {
    const tr = el("tr", "", ...[s.event, s.resource, s.device || s.contact || "–", s.state, time(s.last_notify), time(s.expires)].map((t) => el("td", "", t)));
    tr.title = `Call-ID ${s.call_id}`;
    return tr;
  });
  const facts = [`Registered until ${time(p.registered_until)}`];
  if (p.scscf) facts.push(`by ${p.scscf}`);
  if (p.emergency) facts.push("emergency registration");
  if (p.kept) facts.push(keptText(p.kept));
  const r = p.recovery;
  if (r) facts.push(`${r.sent} of ${r.of} MESSAGEs counted`, `phase ${r.phase}`, r.signed_out ? "signed out" : "");
  return [el("p", "facts", facts.filter(Boolean).join(" · ")),
    el("div", "scroll", el("table", "subs", el("thead", "", head), el("tbody", "", ...lines)))];
}
