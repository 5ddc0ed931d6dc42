// Keeps the open page up to date: brand and menu change in place, records and the console show what is new.
import { _, ngettext } from "./language.js";
import { fetchPage, freshRows, replace, swapFrame, swapParts } from "./swap.js";
import { element, notice, toast } from "./parts.js";

const QUIET = 250; // milliseconds in which events are collected into one change
const ANNOUNCE = 5000;
const POLL = 10000; // the console also shows attempts that changed nothing, for which there is no event

const main = () => document.getElementById("main");
let pending = new Map();
let timer = null;
let lastAnnounced = 0;

export function live() {
  const stream = document.body.dataset.stream;
  if (!stream) return watchAnonymous();
  if ("sync" in main().dataset) setInterval(poll, POLL);
  const channel = "BroadcastChannel" in self ? new BroadcastChannel(`crm ${stream}`) : null;
  if (channel) channel.onmessage = ({ data }) => receive(data);
  const send = (data) => { channel?.postMessage(data); receive(data); };
  // One tab of a browser reads the stream for all of them: a browser opens only six connections to a server.
  if (navigator.locks && channel) navigator.locks.request(`crm ${stream}`, () => listen(stream, send));
  else listen(stream, send);
}

function listen(stream, send) {
  return new Promise((done) => {
    const source = new EventSource(stream);
    let dropped = false;
    source.addEventListener("ready", () => { send({ kind: "ready", again: dropped }); dropped = false; });
    source.addEventListener("reset", () => send({ kind: "ready", again: true }));
    for (const kind of ["sync.applied", "modules.changed", "record.changed"]) {
      source.addEventListener(kind, (event) => send({ kind, ...JSON.parse(event.data) }));
    }
    source.onerror = () => {
      dropped = true;
      const ended = source.readyState === EventSource.CLOSED;
      send({ kind: ended ? "ended" : "dropped" });
      if (ended) done();
    };
  });
}

function receive(event) {
  if (event.kind === "dropped") return showState(_("Not live, reconnecting"), false);
  if (event.kind === "ended") return ended();
  if (event.kind === "ready") {
    showState(_("Live"), true);
    if (!event.again) return;
  }
  pending.set(event.kind === "record.changed" ? `${event.type} ${event.id}` : event.kind, event);
  timer ??= setTimeout(change, QUIET);
}

async function poll() {
  if (document.visibilityState !== "visible" || timer) return;
  await refreshPage([]).catch(() => showState(_("Not live, reconnecting"), false));
}

async function change() {
  timer = null;
  const events = [...pending.values()];
  pending = new Map();
  const again = events.some((event) => event.kind === "ready");
  const frame = again || events.some((event) => event.kind !== "record.changed");
  try {
    if (frame) await refreshFrame(events);
    const mine = events.filter((event) => event.kind === "record.changed" && isMine(event));
    if (again || mine.length || (frame && follows())) await refreshPage(mine);
    showState(_("Live, last change {time}", { time: new Date().toLocaleTimeString([], { hour12: false }) }), true);
  } catch {
    showState(_("Not live, reconnecting"), false); // the next event, or the reconnected stream, tries again
  }
}

async function refreshFrame(events) {
  const current = document.querySelector(".side [aria-current]")?.getAttribute("href")?.split("/").at(-1) || "dashboard";
  const { ok, redirected, page } = await fetchPage(`${document.body.dataset.root}/frame?current=${encodeURIComponent(current)}`);
  if (redirected) return ended();
  if (!ok) throw new Error("no frame");
  await swapFrame(page);
  const module = main().dataset.module;
  const gone = module && !page.body.dataset.modules.split(" ").includes(module);
  if (gone) return moduleGone();
  const applied = events.filter((event) => event.kind === "sync.applied");
  if (applied.length) announce(applied.length === 1 ? _("New {type} applied by the platform, revision {revision}", applied[0]) : _("{n} changes applied by the platform", { n: applied.length }));
}

export async function refreshPage(events) {
  if (main().querySelector(":scope > [data-gone]")) return;
  const { ok, status, page } = await fetchPage(location.href);
  if (status === 404 && main().dataset.id) return recordGone();
  if ("editing" in main().dataset) return events.forEach((event) => editedByOthers(event, page.querySelector("[data-archived]")));
  if (!ok) return;
  const fresh = page.getElementById("main");
  if (fresh?.dataset.revision) main().dataset.revision = fresh.dataset.revision;
  swapParts(page, { offer });
  swapCounts(page);
}

function isMine(event) {
  const { records, id, revision } = main().dataset;
  if (!records) return Boolean(document.querySelector("[data-live='counts'], [data-live='recent']"));
  if (id && event.type === records && event.id === id) return event.revision > Number(revision);
  return !id ? event.type === records : !("editing" in main().dataset);
}

function follows() {
  return "sync" in main().dataset || Boolean(main().querySelector("[data-live]"));
}

function swapCounts(page) {
  const fresh = page.querySelector("[data-swap='side']");
  const side = document.querySelector("[data-swap='side']");
  fresh?.querySelectorAll(".count").forEach((count) => {
    const link = side?.querySelector(`a[href="${CSS.escape(count.closest("a").getAttribute("href"))}"] .count`);
    link?.replaceWith(document.importNode(count, true));
  });
}

// New rows do not appear above the row being read: a button offers them.
function offer(mine, part) {
  const news = mine.parentElement.querySelector("[data-news]") ?? mine.closest("section")?.querySelector("[data-news]");
  if (!news) return replace(mine, part);
  const total = freshRows(mine, part);
  if (!total) return replace(mine, part); // rows were only removed, so nothing jumps
  news.querySelector("span").textContent = ngettext("Show {n} change", "Show {n} changes", total);
  news.hidden = false;
  news.querySelector("button").onclick = () => {
    replace(mine, part);
    news.hidden = true;
    mine.querySelector("a")?.focus();
  };
}

function moduleGone() {
  const name = document.title.split(" · ")[0];
  if (main().querySelector(":scope > [data-gone]")) return;
  gone(notice("info", "lock", _("This module is no longer part of your workspace."), _("Your platform operator has disabled it. You can read this page ({name}) until you leave it. Saved data is not lost.", { name })), link(`${document.body.dataset.root}/`, _("Go to the dashboard")));
}

function recordGone() {
  main().querySelectorAll("[data-live='archived'], [data-archived], [data-meanwhile], [data-errors]").forEach((one) => one.remove());
  const list = main().querySelector(".crumbs a");
  const typed = main().querySelector("#record") ?? [...main().querySelectorAll("textarea")].find((one) => one.value);
  gone(notice("warn", "alert", _("This record has been erased."), typed ? _("Your input cannot be saved any more. You can copy it until you leave this page.") : _("You can read this page until you leave it.")), link(list.href, _("Back to {title}", { title: list.textContent })));
}

// The page can still be read, selected and copied; nothing on it works any more.
function gone(banner, away) {
  for (const part of main().children) {
    if (part.matches(".notices")) continue;
    part.querySelectorAll("button, select, input:is([type=checkbox], [type=radio], [type=file])").forEach((one) => { one.disabled = true; });
    part.querySelectorAll("input, textarea").forEach((one) => { one.readOnly = true; });
    part.querySelectorAll(".pen").forEach((one) => one.remove());
    part.querySelectorAll("a[href]").forEach((one) => one.removeAttribute("href"));
    part.querySelectorAll("[draggable]").forEach((one) => one.removeAttribute("draggable"));
  }
  banner.dataset.gone = "";
  banner.setAttribute("role", "alert");
  banner.append(away);
  main().prepend(banner);
  if (!document.activeElement.matches("main :is(input, textarea)")) banner.querySelector("a").focus(); // the next key of one who types is not for the link
}

function editedByOthers(event, archived) {
  if (event.revision <= Number(main().dataset.revision) || main().querySelector("[data-meanwhile]")) return;
  const banner = archived ? document.importNode(archived, true) : notice("warn", "alert", _("Someone saved this record while you were editing."), _("Your input is still here. When you save, you choose a version for each field that you both changed."));
  banner.dataset.meanwhile = "";
  banner.setAttribute("role", "status");
  main().querySelector(".page-head").after(banner);
}

// Says so once, and again with what that means for an act.
export function ended(text = "") {
  const said = document.querySelector("[data-ended]");
  if (said && !text) return;
  said?.remove();
  showState(_("Not live: signed out"), false);
  const banner = notice("warn", "lock", _("You are signed out."), text || _("Your input stays on this page."));
  banner.dataset.ended = "";
  banner.setAttribute("role", "alert");
  const again = link(`${document.body.dataset.root}/login?next=${encodeURIComponent(location.pathname + location.search)}`, _("Sign in"));
  if (document.querySelector("form[data-draft]")) again.firstChild.target = "_blank"; // this page keeps what is typed
  banner.append(again);
  main().prepend(banner);
}

function link(href, text) {
  const row = element("div", { className: "row" });
  row.append(element("a", { href, textContent: text }));
  return row;
}

function showState(text, ok) {
  document.body.dataset.live = ok ? "on" : "off";
  const region = document.querySelector("[data-live-word]");
  if (!region) return;
  region.textContent = text;
  region.classList.toggle("off", !ok);
}

// At most one announcement in five seconds.
function announce(text) {
  if (Date.now() - lastAnnounced < ANNOUNCE) return;
  lastAnnounced = Date.now();
  toast(text);
}

// Before signing in there is no stream: the brand is checked again when the user returns to the tab.
function watchAnonymous() {
  let etag = null;
  document.addEventListener("visibilitychange", async () => {
    if (document.visibilityState !== "visible") return;
    const answer = await fetch(`${document.body.dataset.root}/api/v1/bootstrap/public`, { cache: "no-cache" }).catch(() => null);
    const fresh = answer?.headers.get("ETag") ?? null;
    if (etag && fresh && fresh !== etag) {
      const { ok, page } = await fetchPage(location.href);
      if (ok) await swapFrame(page);
    }
    etag = fresh ?? etag;
  });
}
