// Small helpers. Every value that is shown came over the network, so text goes
// into text nodes and attributes only; nothing is ever parsed as HTML.

export function el(name, className, ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== ""));
  return node;
}

export function svg(name, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// setText touches the page only where something changed, so that a selection
// and a screen reader are left in peace.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// keyed keeps one child of parent for each item: a child stays as it is while
// its item stays the same, is rebuilt in place when the item changes, and stays
// open if it was open. The order is that of the items.
export function keyed(parent, items, key, build) {
  const old = new Map();
  for (const child of parent.children) old.set(child.dataset.key, child);
  let before = parent.firstElementChild;
  for (const item of items) {
    const id = String(key(item));
    const print = JSON.stringify(item);
    let child = old.get(id);
    if (!child || child.dataset.print !== print) {
      const fresh = build(item, child);
      fresh.dataset.key = id;
      fresh.dataset.print = print;
      if (child && fresh !== child) {
        const focused = child.contains(document.activeElement);
        if (child.open) fresh.open = true;
        if (before === child) before = fresh;
        child.replaceWith(fresh);
        if (focused) (fresh.querySelector("summary, button") || fresh).focus();
      }
      child = fresh;
    }
    old.delete(id);
    if (child === before) before = before.nextElementSibling;
    else parent.insertBefore(child, before);
  }
  for (const child of old.values()) child.remove();
}

// span is a length of time as a person would say it; the unit stays on the line
// of its number.
export function span(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 1) return `${Math.round(s * 1000)}\u00a0ms`;
  if (s < 10) return `${s.toFixed(1)}\u00a0s`;
  if (s < 120) return `${Math.round(s)}\u00a0s`;
  if (s < 7200) return `${Math.round(s / 60)}\u00a0min`;
  if (s < 172800) return `${Math.round(s / 3600)}\u00a0h`;
  return `${Math.round(s / 86400)}\u00a0days`;
}

export function figure(n) {
  if (typeof n !== "number" || !isFinite(n)) return "–";
  if (n >= 1e6) return `${(n / 1e6).toPrecision(4)}\u202fM`;
  return Math.round(n).toLocaleString("en").replaceAll(",", "\u202f");
}

// when reads a Go time; the zero time means never.
export function when(text) {
  const t = Date.parse(text || "");
  return isNaN(t) || t < 0 ? null : t;
}

// precise is a time in seconds with the microseconds that Date.parse leaves out:
// on a fast network a whole exchange fits into one millisecond.
export function precise(text) {
  const fraction = /\.\d+/.exec(text || "");
  return Math.floor((when(text) ?? 0) / 1000) + (fraction ? Number(`0${fraction[0]}`) : 0);
}

let skew = 0;

// setClock takes the time of rewatch, whose clock need not be the browser's.
export function setClock(text) {
  const t = when(text);
  if (t !== null) skew = t - Date.now();
}

export const now = () => Date.now() + skew;
