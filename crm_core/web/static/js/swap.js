// Putting newly rendered parts of a page into the open one. Focus, scroll and typed text stay.

// What stands around the page: brand, menu, notices, footer, the theme. Everything changes in one frame.
export async function swapFrame(fresh) {
  const sheet = await sheetOf(fresh);
  await Promise.all([...fresh.querySelectorAll("[data-swap] img")].map(decoded));
  await new Promise(requestAnimationFrame);
  document.documentElement.dataset.swapping = ""; // colours change at once, not by the transitions of hovering
  if (sheet) document.adoptedStyleSheets = [sheet];
  for (const part of fresh.querySelectorAll("[data-swap]")) {
    const held = document.querySelector(`[data-swap="${part.dataset.swap}"]`);
    if (held && held.innerHTML !== part.innerHTML) keepingFocus(held, () => held.replaceChildren(...adopted(part)));
  }
  document.body.dataset.modules = fresh.body.dataset.modules ?? "";
  if (fresh.documentElement.dataset.scheme) document.documentElement.dataset.scheme = fresh.documentElement.dataset.scheme;
  else delete document.documentElement.dataset.scheme;
  document.getElementById("icon").href = fresh.getElementById("icon").getAttribute("href");
  document.body.offsetHeight; // the new colours are in force before transitions are allowed again
  delete document.documentElement.dataset.swapping;
  document.title = document.title.replace(/ · [^·]*$/, fresh.title.match(/ · [^·]*$/)?.[0] ?? "");
}

// Parts of the page itself. Parts that rows would jump in are held back behind a button.
// ``asked``: the user did something and waits for it; otherwise a part that one is filling in is left alone.
export function swapParts(fresh, { held = null, asked = false } = {}) {
  for (const part of fresh.querySelectorAll("[data-live]")) {
    const mine = document.querySelector(`[data-live="${part.dataset.live}"]`);
    if (!mine || same(mine, part)) continue;
    if (held && "hold" in mine.dataset) held(mine, part);
    else if (asked || !mine.querySelector("input:focus, select:focus, textarea:focus, :popover-open")) replace(mine, part);
  }
}

// Whether two renderings say the same: how long ago something was, and the form's token, change by themselves.
export function same(mine, part) {
  return lasting(mine) === lasting(part);
}

// The rows of a part that are new or say something else than before.
export function freshRows(mine, part) {
  const held = new Set([...mine.querySelectorAll("tbody tr")].map(lasting));
  return [...part.querySelectorAll("tbody tr")].filter((row) => !held.has(lasting(row))).length;
}

function lasting(part) {
  const copy = part.cloneNode(true);
  copy.querySelectorAll("time").forEach((time) => { time.textContent = ""; });
  copy.querySelectorAll("input[name='csrf']").forEach((input) => input.remove());
  return copy.innerHTML;
}

export function replace(mine, part) {
  keepingFocus(mine, () => {
    mine.replaceChildren(...adopted(part));
    mine.className = part.className;
  });
}

export async function fetchPage(url, options = {}) {
  const answer = await fetch(url, { credentials: "same-origin", headers: { Accept: "text/html" }, ...options });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return { ok: answer.ok, status: answer.status, url: answer.url, redirected: answer.redirected, page };
}

function adopted(part) {
  return [...part.childNodes].map((node) => document.importNode(node, true));
}

function keepingFocus(held, change) {
  const focused = held.contains(document.activeElement) ? document.activeElement : null;
  const mark = focused && (focused.id ? `#${CSS.escape(focused.id)}` : focused.getAttribute("href") ? `[href="${CSS.escape(focused.getAttribute("href"))}"]` : null);
  const { scrollLeft, scrollTop } = held;
  change();
  held.scrollTo(scrollLeft, scrollTop);
  if (mark) held.querySelector(mark)?.focus({ preventScroll: true });
}

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
  await Promise.race([image.decode().catch(() => {}), new Promise((done) => setTimeout(done, 400))]); // a missing picture keeps nothing back
}
