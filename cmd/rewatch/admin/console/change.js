// Changes: a question first, then the token if none is known, then the POST.

const node = (id) => document.getElementById(id);
const storageKey = "rewatch-token";

const questions = {
  reset: {
    title: "Forgive this user?",
    text: (aor) => `The count, the ban and the alarm of ${aor} are removed, and rewatch starts afresh with this user.`,
    yes: "Forgive",
    done: (aor) => `${aor} is forgiven.`,
  },
  unban: {
    title: "Lift the ban?",
    text: (aor) => `${aor} can register and subscribe again at once. The count stays.`,
    yes: "Lift the ban",
    done: (aor) => `${aor} is not banned any more.`,
  },
};

let pending = null;

export function ask(aor, what) {
  const q = questions[what];
  pending = { aor, what };
  node("ask-title").textContent = q.title;
  node("ask-text").textContent = q.text(aor);
  node("ask-yes").textContent = q.yes;
  node("ask-token").hidden = Boolean(sessionStorage.getItem(storageKey));
  node("token").value = "";
  problem("");
  node("ask").showModal();
}

export function setUp(refresh) {
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
  let response;
  try {
    response = await fetch(`/api/v1/watchers/${encodeURIComponent(aor)}/${what}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}` },
    });
  } catch {
    problem("rewatch cannot be reached. Please try again.");
    return;
  }
  if (response.ok) {
    sessionStorage.setItem(storageKey, token);
    node("ask").close();
    toast(questions[what].done(aor));
    refresh();
    return;
  }
  refused(response.status, await errorOf(response));
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
    ? "This rewatch only shows: its operator has set no REWATCH_ADMIN_TOKEN."
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
