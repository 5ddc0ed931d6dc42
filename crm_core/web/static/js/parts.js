// Small parts: toasts, dialogs, copying, the section in view.

import { _ } from "./language.js";
import { adopted, fetchPage, own } from "./swap.js";

const TOAST_SECONDS = 6;
const UNDO_SECONDS = 10;
const BRAND_IMAGES = ".brand img, .side figure img, .art img";

export function watchParts() {
  document.addEventListener("click", (event) => {
    const button = own(event.target).closest("button");
    if (!button) return;
    if (button.dataset.opens) document.getElementById(button.dataset.opens)?.showModal();
    if (button.dataset.copy) copy(button);
    if ("close" in button.dataset) button.closest("[data-toast]")?.remove();
  });
  document.addEventListener("click", (event) => {
    const link = own(event.target).closest("a[data-older]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    older(link);
  });
  document.querySelectorAll("[data-toast]").forEach(fade);
  watchSubnav();
  document.addEventListener("error", ({ target }) => missing(target), true);
  document.querySelectorAll(BRAND_IMAGES).forEach((image) => image.decode().catch(() => image.complete && missing(image)));
}

// A pushed image that does not load leaves title and colors, not the browser's sign of a broken one.
function missing(image) {
  if (image.matches?.(BRAND_IMAGES) && !image.naturalWidth) image.hidden = true;
}

export const element = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);

// Says what was just done, here or elsewhere. Errors that need an action belong in the page.
export function toast(text, tone = "ok") {
  const made = element("div", { className: `toast ${tone}` });
  made.dataset.toast = "";
  made.append(icon(tone === "ok" ? "check" : "info"), strong(text), closer());
  show(made);
}

// Shows the confirmation that a fetched page has; another window may have shown it already.
export function showConfirmation(page) {
  const confirmation = page.querySelector(".toasts [data-toast]");
  if (confirmation) show(document.importNode(confirmation, true));
}

function show(made) {
  document.querySelector(".toasts").replaceChildren(made);
  fade(made);
}

function fade(made) {
  let timer;
  const seconds = made.querySelector("form, a") ? UNDO_SECONDS : TOAST_SECONDS;
  const start = () => { timer = setTimeout(() => made.remove(), seconds * 1000); };
  const stop = () => clearTimeout(timer);
  made.addEventListener("pointerenter", stop);
  made.addEventListener("pointerleave", start);
  made.addEventListener("focusin", stop);
  made.addEventListener("focusout", start);
  start();
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "i");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${new URL("icons.svg", import.meta.url).pathname}#${name}`);
  svg.append(use);
  return svg;
}

function strong(text) {
  const div = element("div");
  div.append(element("strong", { textContent: text }));
  return div;
}

// A notice at the head of the page.
export function notice(tone, name, title, text) {
  const banner = element("div", { className: `banner ${tone}` });
  const message = strong(title);
  message.append(` ${text}`);
  banner.append(icon(name), message);
  return banner;
}

function closer() {
  const button = element("button", { className: "btn quiet sm icon", type: "button" });
  button.dataset.close = "";
  button.setAttribute("aria-label", _("Close"));
  button.append(icon("x"));
  return button;
}

// The older part of a timeline, below the one that is shown.
async function older(link) {
  const { ok, page } = await fetchPage(link.href).catch(() => ({ ok: false }));
  if (!ok) return location.assign(link.href);
  const part = page.querySelector(`[data-live="${link.closest("[data-live]").dataset.live}"]`);
  link.closest("[data-live]").dataset.extended = "";
  part.querySelector(".more:not([data-older])")?.remove();
  const last = link.previousElementSibling;
  link.replaceWith(...adopted(part));
  last?.nextElementSibling?.querySelector("a, time")?.scrollIntoView({ block: "nearest" });
}

async function copy(button) {
  const text = document.getElementById(button.dataset.copy)?.innerText ?? "";
  try {
    await navigator.clipboard.writeText(text);
    toast(_("Copied"));
  } catch {
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    toast(_("Text selected: copy it with your keyboard"), "info");
  }
}

function watchSubnav() {
  const links = [...document.querySelectorAll(".subnav a")];
  if (!links.length) return;
  const targets = links.map((link) => document.querySelector(link.hash));
  const mark = () => {
    const seen = targets.filter((target) => target && target.getBoundingClientRect().top < 160);
    const current = seen.at(-1) ?? targets[0];
    links.forEach((link, at) => {
      if (targets[at] === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  };
  addEventListener("scroll", mark, { passive: true });
  mark();
}
