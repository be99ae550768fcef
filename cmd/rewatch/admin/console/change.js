// Changes: a question first, then the token if none is known, then the POST.

const node = (id) => document.getElementById(id);
const storageKey = "rewatch-token";

const questions = {
  reset: {
    title: "Forgive this user?",
    text: (aor) => `The count, the ban and the alarm of ${aor} are removed, and rewatch starts again with this user.`,
    yes: "Forgive",
    done: (aor) => `${aor} is forgiven.`,
  },
  unban: {
    title: "Lift the ban?",
    text: (aor) => `${aor} can register and subscribe again at once. The count stays.`,
    yes: "Lift the ban",
    done: (aor) => `${aor} is no longer banned.`,
  },
  pcap: {
    title: "Download the messages?",
    text: () => "The file has every message of this recovery with its body, for Wireshark or sngrep. The download is written to the audit log.",
    yes: "Download", request: (id) => ["GET", `recoveries/${encodeURIComponent(id)}/pcap`], file: (id) => `rewatch-${id}.pcap`,
    done: () => "The file is downloaded.",
  },
  hold: {
    title: "Hold everything?",
    text: () => "No MESSAGE is sent, nobody is counted and nobody is signed out until recovery is resumed. With REWATCH_STATE the hold outlives a restart.",
    yes: "Hold", reason: true, request: (_, reason) => ["PUT", "hold", { reason }],
    done: () => "Recovery is held.",
  },
  resume: {
    title: "Resume recovery?",
    text: () => "Recovery goes on where it was, without a second MESSAGE.",
    yes: "Resume", request: () => ["DELETE", "hold"],
    done: () => "Recovery goes on.",
  },
  release: {
    title: "End the hold of this hop?",
    text: (hop) => `Recovery goes on for the users behind ${hop}. The hop is held again if nothing gets through.`,
    yes: "End the hold", request: (hop) => ["DELETE", `hold?hop=${encodeURIComponent(hop)}`],
    done: (hop) => `${hop} is no longer held.`,
  },
  dry: {
    title: "Begin a dry run?",
    text: () => "rewatch only observes from now on. A restart goes back to REWATCH_DRY_RUN.",
    yes: "Begin", request: () => ["PUT", "dry-run", { on: true }],
    done: () => "The dry run has begun.",
  },
  wet: {
    title: "End the dry run?",
    text: () => "rewatch acts from now on. Failures in the dry run do not count.",
    yes: "End it", request: () => ["PUT", "dry-run", { on: false }],
    done: () => "The dry run has ended.",
  },
};

let pending = null;

export function ask(aor, what) {
  const q = questions[what];
  pending = { aor, what };
  node("ask-title").textContent = q.title;
  node("ask-text").textContent = q.text(aor);
  node("ask-yes").textContent = q.yes;
  node("ask-reason").hidden = !q.reason;
  node("reason").value = "";
  node("ask-token").hidden = Boolean(sessionStorage.getItem(storageKey));
  node("token").value = "";
  problem("");
  node("ask").showModal();
}

// control shows the buttons that fit what rewatch does.
export function control(summary) {
  node("controls").hidden = !summary.can_change;
  const on = (mode) => (summary.modes || []).includes(mode);
  node("c-hold").hidden = on("held-by-hand");
  node("c-resume").hidden = !on("held-by-hand");
  node("c-dry").hidden = on("dry-run");
  node("c-wet").hidden = !on("dry-run");
}

export function setUp(refresh) {
  for (const what of ["hold", "resume", "dry", "wet"]) node(`c-${what}`).addEventListener("click", () => ask("", what));
  node("ask-no").addEventListener("click", () => node("ask").close());
  node("ask").querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(refresh);
  });
}

async function submit(refresh) {
  const { aor, what } = pending;
  const typed = node("token").value.trim();
  const token = typed || sessionStorage.getItem(storageKey) || "";
  if (!token) {
    problem("Please enter the token.");
    node("token").focus();
    return;
  }
  const reason = node("reason").value.trim();
  if (questions[what].reason && !reason) {
    problem("Please give a reason.");
    node("reason").focus();
    return;
  }
  const [method, path, body] = questions[what].request?.(aor, reason) ?? ["POST", `watchers/${encodeURIComponent(aor)}/${what}`];
  let response;
  try {
    // In a header of its own: Authorization may be taken by a password.
    response = await fetch(`/api/v1/${path}`, {
      method, headers: { "X-Rewatch-Token": token }, body: body && JSON.stringify(body),
    });
  } catch {
    problem("rewatch cannot be reached. Please try again.");
    return;
  }
  if (response.ok) {
    sessionStorage.setItem(storageKey, token);
    node("ask").close();
    if (questions[what].file) save(questions[what].file(aor), await response.blob());
    toast(questions[what].done(aor));
    refresh();
    return;
  }
  refused(response.status, await errorOf(response));
}

// save gives a file to whoever looks at the page.
function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function refused(status, text) {
  if (status === 401) {
    sessionStorage.removeItem(storageKey);
    node("ask-token").hidden = false;
    node("token").focus();
    problem("This is not the right token.");
    return;
  }
  problem(status === 403
    ? "This rewatch accepts no changes: REWATCH_ADMIN_TOKEN is not set."
    : text);
}

async function errorOf(response) {
  try {
    return String((await response.json()).error);
  } catch {
    return `The answer was ${response.status}.`;
  }
}

function problem(text) {
  node("ask-error").textContent = text;
  node("ask-error").hidden = !text;
}

let hide;

export function toast(text) {
  const t = node("toast");
  t.textContent = text;
  t.classList.add("on");
  clearTimeout(hide);
  hide = setTimeout(() => t.classList.remove("on"), 3500);
}
