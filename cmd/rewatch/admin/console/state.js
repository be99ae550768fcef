// What rewatch does, in words.

const reasons = {
  unreachable: "it cannot be reached",
  silence: "it answers nobody",
  silent: "it answers nobody",
  ratio: "too many NOTIFYs fail",
};

// chips is the state for the head of the page: the most important word, and a colour.
export function chips(summary) {
  const modes = summary.modes || ["normal"];
  const words = [];
  if (modes.includes("held-by-hand")) words.push("Held by hand");
  if (modes.includes("held")) words.push("Holding");
  if (modes.includes("dry-run")) words.push("Dry run");
  return words.length ? [words.join(" · "), "busy"] : ["Ready", "good"];
}

// notices are what a person has to know first: what rewatch waits for, and what it does
// not do now.
export function notices(summary) {
  const all = (summary.conditions || []).filter((c) => !c.ok || c.name === "identity").map((c) => ({ name: c.name, detail: c.detail }));
  const modes = summary.modes || [];
  if (modes.includes("dry-run")) {
    all.push({ busy: true, name: "Dry run", detail: "rewatch only observes. Nothing that is shown here as done was really done, and failures do not count after the end of the dry run" });
  }
  for (const h of summary.holds || []) all.push(h.by_hand ? byHand(h) : ofHop(h));
  if (summary.kept > 0) {
    all.push({ busy: true, name: `${plural(summary.kept, "NOTIFY", "NOTIFYs")} kept for redelivery`, detail: "each is delivered when its client can be reached; the server has its answer already" });
  }
  return all;
}

function byHand(h) {
  return { busy: true, name: "Held by hand", detail: `${h.reason}. Nobody is told, counted or signed out until recovery is resumed; ${waits(h)}` };
}

function ofHop(h) {
  const where = h.hop || "phones that are reached directly";
  return {
    busy: true, hop: h.hop, name: `${where} is held`,
    detail: `${reasons[h.reason] || h.reason}. Nobody behind it is counted or signed out. rewatch asks it by OPTIONS; the hold ends when it answers or a request gets through; ${waits(h)}`,
  };
}

const waits = (h) => (h.waiting === 1 ? "1 user waits" : `${h.waiting || 0} users wait`);
const plural = (n, one, many) => `${n} ${n === 1 ? one : many}`;
