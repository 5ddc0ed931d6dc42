// Puts newly rendered parts of a page into the open one. Focus, scroll position and typed text stay.

// Swaps the frame of the page: brand, menu, notices, footer, theme. Everything changes in one frame of the screen.
export async function swapFrame(fresh) {
  const sheet = await sheetOf(fresh);
  await Promise.all([...fresh.querySelectorAll("[data-swap] img")].map(decoded));
  await new Promise(requestAnimationFrame);
  document.documentElement.dataset.swapping = ""; // colors change immediately, without the transitions of hovering
  if (sheet) document.adoptedStyleSheets = [sheet];
  for (const part of fresh.querySelectorAll("[data-swap]")) {
    const old = document.querySelector(`[data-swap="${part.dataset.swap}"]`);
    if (old && old.innerHTML !== part.innerHTML) keepingFocus(old, () => old.replaceChildren(...adopted(part)));
  }
  document.body.dataset.modules = fresh.body.dataset.modules ?? "";
  if (fresh.documentElement.dataset.scheme) document.documentElement.dataset.scheme = fresh.documentElement.dataset.scheme;
  else delete document.documentElement.dataset.scheme;
  document.getElementById("icon").href = fresh.getElementById("icon").getAttribute("href");
  document.body.offsetHeight; // the new colors are applied before transitions are allowed again
  delete document.documentElement.dataset.swapping;
  document.title = document.title.replace(/ · [^·]*$/, fresh.title.match(/ · [^·]*$/)?.[0] ?? "");
}

// Swaps the parts of the page itself. ``offer`` gets the parts in which rows would jump.
// ``asked``: the user did something and waits for it; otherwise a part that is being filled in, or from which a card is
// dragged, stays as it is.
export function swapParts(fresh, { offer = null, asked = false } = {}) {
  for (const part of fresh.querySelectorAll("[data-live]")) {
    const mine = document.querySelector(`[data-live="${part.dataset.live}"]`);
    if (!mine || same(mine, part) || ("extended" in mine.dataset && !asked)) continue; // older entries stay in view
    if (mine.querySelector("form.inplace") || isTyped(mine)) continue; // and what is being typed
    if (!asked) keep(mine, part);
    if (offer && "offer" in mine.dataset) offer(mine, part);
    else if (asked || !mine.querySelector("input:focus, select:focus, textarea:focus, :popover-open, .dragged")) replace(mine, part);
  }
}

// Whether a part has a text that is not sent yet.
function isTyped(part) {
  return [...part.querySelectorAll("textarea")].some((one) => one.value !== one.defaultValue);
}

// What was said about an act, such as the Undo of a moved card, stays until the next act.
function keep(mine, part) {
  for (const kept of mine.querySelectorAll("[data-keep]")) {
    part.querySelector(`#${CSS.escape(kept.parentElement.id)}`)?.prepend(part.ownerDocument.importNode(kept, true));
  }
}

// Whether two renderings are the same except for relative times and the form's token.
function same(mine, part) {
  return lasting(mine) === lasting(part);
}

// How many rows of a part are new or changed.
export function freshRows(mine, part) {
  const known = new Set([...mine.querySelectorAll("tbody tr")].map(lasting));
  return [...part.querySelectorAll("tbody tr")].filter((row) => !known.has(lasting(row))).length;
}

function lasting(part) {
  const copy = part.cloneNode(true);
  copy.querySelectorAll("time").forEach((time) => { time.textContent = ""; });
  copy.querySelectorAll("input[name='csrf'], [data-keep]").forEach((one) => one.remove());
  return copy.innerHTML;
}

export function replace(mine, part) {
  keepingFocus(mine, () => {
    mine.replaceChildren(...adopted(part));
    mine.className = part.className;
  });
  document.dispatchEvent(new Event("swapped"));
}

export async function fetchPage(url, options = {}) {
  const answer = await fetch(url, { credentials: "same-origin", headers: { Accept: "text/html" }, ...options });
  const page = parsed(await answer.text());
  return { ok: answer.ok, status: answer.status, url: answer.url, redirected: answer.redirected, page };
}

export const parsed = (html) => new DOMParser().parseFromString(html, "text/html");

// What every form has, such as its dataset: a field of that name hides it, and fields are named like members of records.
export const own = (form) => new Proxy(form, {
  get(_form, name) {
    const found = Reflect.get(HTMLFormElement.prototype, name, form);
    return typeof found === "function" ? found.bind(form) : found;
  },
  set: (_form, name, value) => Reflect.set(HTMLFormElement.prototype, name, value, form),
});
export const addressOf = (form) => new URL(own(form).getAttribute("action") ?? "", location.href).href;

export function adopted(part) {
  return [...part.childNodes].map((node) => document.importNode(node, true));
}

// A selector that finds an element again in a new rendering.
function markOf(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const name = ["href", "aria-label"].find((attribute) => element.getAttribute(attribute));
  return name ? `[${name}="${CSS.escape(element.getAttribute(name))}"]` : null;
}

// An element that is gone leaves the focus in its row; a row that is gone leaves it on the link of the next one.
function keepingFocus(parent, change) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const mark = focused && markOf(focused);
  const row = focused?.closest("li, tr");
  const [link, at] = [row?.querySelector("a[href]")?.getAttribute("href"), rowsOf(parent).indexOf(row)];
  const { scrollLeft, scrollTop } = parent;
  change();
  parent.scrollTo(scrollLeft, scrollTop);
  const same = link && rowsOf(parent).find((one) => one.querySelector(`[href="${CSS.escape(link)}"]`));
  const found = (mark && parent.querySelector(mark)) ?? same?.querySelector("input:not([type=hidden], :disabled), button, a") ?? (at >= 0 ? rowsOf(parent).slice(0, at + 1).at(-1)?.querySelector("a[href]") : null);
  found?.focus({ preventScroll: true });
}

const rowsOf = (parent) => [...parent.querySelectorAll("li, tbody tr")];

async function sheetOf(fresh) {
  const href = fresh.getElementById("theme").getAttribute("href");
  const link = document.getElementById("theme");
  if (link.getAttribute("href") === href && !document.adoptedStyleSheets.length) return null;
  const answer = await fetch(href);
  if (!answer.ok) return null;
  const sheet = new CSSStyleSheet();
  await sheet.replace(await answer.text());
  return sheet;
}

async function decoded(img) {
  const image = new Image();
  image.referrerPolicy = "no-referrer";
  image.src = img.getAttribute("src");
  await Promise.race([image.decode().catch(() => {}), new Promise((done) => setTimeout(done, 400))]); // a missing image delays nothing
}
