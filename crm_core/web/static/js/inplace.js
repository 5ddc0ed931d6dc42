// Changing one field where it is shown: the record's own form, with all its other fields out of sight.
import { _ } from "./language.js";
import { refused } from "./forms.js";
import { refreshPage } from "./live.js";
import { element, showConfirmation } from "./parts.js";
import { addressOf, fetchPage, own, swapParts } from "./swap.js";

const FORM = "form.inplace";
const main = () => document.getElementById("main");

export function watchPens() {
  document.addEventListener("click", (event) => {
    const pen = own(event.target).closest("a.pen");
    if (own(event.target).closest("[data-keep-value]")) cancel(own(event.target).closest(FORM));
    if (!pen || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(pen);
  });
  document.addEventListener("submit", (event) => { if (own(event.target).matches(FORM)) save(event); });
  document.addEventListener("keydown", ({ key, target }) => {
    const form = target.closest?.(FORM);
    if (!form || own(form).inert || key !== "Escape" || target.getAttribute("aria-expanded") === "true") return; // a list closes first
    cancel(form);
  }, true);
}

async function open(pen) {
  const name = pen.closest("[data-field]").dataset.field;
  if (isNeeded(document.querySelector(FORM))) return;
  const { ok, page } = await fetchPage(pen.href).catch(() => ({ ok: false }));
  if (isNeeded(document.querySelector(FORM))) return;
  if (!page) return refused();
  const fetched = ok && page.getElementById("record");
  const row = document.querySelector(`[data-field="${name}"]`); // the details may have been rendered again
  if (!fetched || !row || !fieldOf(fetched, name)) return location.assign(pen.href);
  if (row.querySelector(FORM)) return; // by the first click of two
  document.querySelectorAll(FORM).forEach(close);
  const form = document.importNode(fetched, true);
  const rest = element("div", { hidden: true });
  rest.append(...own(form).childNodes); // with the button that the Enter key takes
  own(form).append(rest, fieldOf(rest, name), buttons());
  own(form).className = "inplace";
  own(form).removeAttribute("id");
  delete own(form).dataset.draft;
  mark(row, true);
  row.querySelector("dd").append(form);
  main().dataset.editing = "";
  input(form).focus();
  input(form).select?.();
}

async function save(event) {
  event.preventDefault();
  const form = event.target;
  if (own(form).inert) return; // it is being saved
  const name = own(form).closest("[data-field]").dataset.field;
  const body = new URLSearchParams(new FormData(form));
  if (event.submitter?.name) body.set(event.submitter.name, event.submitter.value);
  own(form).inert = true;
  delete main().dataset.editing; // the change that the stream reports is this one
  const { ok, status, page } = await fetchPage(addressOf(form), { method: "POST", body }).catch(() => ({}));
  own(form).inert = false;
  if (!page || status >= 500) {
    main().dataset.editing = "";
    refused(page);
    return input(form).focus();
  }
  if (ok && page.querySelector("[data-live='details']")) {
    close(form);
    main().dataset.revision = page.getElementById("main").dataset.revision;
    swapParts(page, { asked: true });
    showConfirmation(page);
    return document.querySelector(`[data-field="${name}"] .pen`)?.focus();
  }
  const answer = page.getElementById("record");
  const field = status === 422 && answer && fieldOf(answer, name);
  if (field && field.querySelector(".err")) {
    fieldOf(form, name).replaceWith(document.importNode(field, true));
    main().dataset.editing = "";
    return input(form).focus();
  }
  own(form).dataset.dirty = "";
  own(form).submit(); // a conflict, or a refusal of the whole: its page shows what was typed
}

// Text that is typed, or being saved, stays open when another pen is clicked.
function isNeeded(form) {
  const needed = Boolean(form && (own(form).dataset.dirty || own(form).inert));
  if (needed) input(form).focus();
  return needed;
}

function cancel(form) {
  close(form);
  refreshPage([]).catch(() => {}); // shows what others changed meanwhile
}

function close(form) {
  document.querySelectorAll("[data-refused], [data-meanwhile]").forEach((notice) => notice.remove());
  const row = own(form).closest("[data-field]");
  own(form).remove();
  mark(row, false);
  delete main().dataset.editing;
  row.querySelector(".pen").focus();
}

function mark(row, editing) {
  row.classList.toggle("editing", editing);
  row.querySelector("dt").classList.toggle("vh", editing);
}

// The field of a member; of an object, all of its fields.
function fieldOf(parent, name) {
  const found = own(parent).querySelector(`[name="${name}"], [name^="${name}."]`);
  return found?.closest("fieldset") ?? found?.closest(".field");
}

function input(form) {
  return own(form).querySelector(":scope > :not([hidden]) :is(.in, input:not([type=hidden]))");
}

function buttons() {
  const row = element("div", { className: "row" });
  for (const [text, kind, type] of [[_("Save"), "primary", "submit"], [_("Cancel"), "quiet", "button"]]) {
    row.append(element("button", { className: `btn sm ${kind}`, type, textContent: text }));
  }
  row.lastChild.dataset.keepValue = "";
  return row;
}
