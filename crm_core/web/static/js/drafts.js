// Drafts: typed text that is not saved yet survives a reload, a refused save and a server that is down, in this tab.
import { _ } from "./language.js";
import { fitRows } from "./rows.js";
import { addressOf, own } from "./swap.js";

const FIELDS = "input:not([type=hidden], [type=submit], [name^='form:pick:']), textarea, select, [data-picker] input[type=hidden]";

export function watchDrafts() {
  if (document.querySelector(".toasts [data-toast], [data-saved]")) forgetSent();
  document.querySelectorAll("form[data-draft]").forEach(restore);
  document.querySelectorAll("[data-reloads]").forEach(reloads);
  document.addEventListener("input", ({ target }) => store(target.closest("form[data-draft]")));
  document.addEventListener("change", ({ target }) => store(target.closest("form[data-draft]")));
  document.addEventListener("submit", ({ target }) => {
    if (addressOf(target).endsWith("/logout")) sessionStorage.clear();
    if ("draft" in own(target).dataset) store(target, true);
  });
  document.addEventListener("click", ({ target }) => {
    const button = own(target).closest("[data-discard]");
    const form = button?.closest("form[data-draft]");
    if (!form) return;
    sessionStorage.removeItem(key(form));
    if (button.type === "button") {
      own(form).dataset.dirty = "";
      location.reload();
    }
  });
}

// The page that answers a form counts as one that was opened: Back and Reload do not ask whether to send it again.
// Reload leads to the named address, or to the form's own page.
function reloads(part) {
  if (own(part).matches("form[data-draft]")) store(part);
  history.replaceState(history.state, "", own(part).dataset.reloads || location.href);
}

// Of one user: another one may sign in where a session has ended.
const key = (form) => `draft ${document.body.dataset.user} ${own(form).dataset.draft}`;

function store(form, sent = false) {
  if (!form) return;
  const fields = [...own(form).querySelectorAll(FIELDS)].filter((field) => field.name);
  const values = fields.map((field) => [field.name, field.value, field.checked ?? null]);
  // What an open conflict started from: without it, saving after a reload would overwrite the other version unseen.
  const start = own(form).elements["form:was"]?.value ?? own(form).dataset.start;
  sessionStorage.setItem(key(form), JSON.stringify({ values, sent, start }));
}

// A form that was sent and then confirmed is saved.
function forgetSent() {
  for (const name of Object.keys(sessionStorage)) {
    if (name.startsWith("draft ") && JSON.parse(sessionStorage.getItem(name)).sent) sessionStorage.removeItem(name);
  }
}

// Any other draft comes back.
function restore(form) {
  const draft = JSON.parse(sessionStorage.getItem(key(form)) ?? "null");
  if (!draft) return;
  fitRows(form, draft.values.map(([name]) => name));
  const fields = [...own(form).querySelectorAll(FIELDS)].filter((field) => field.name);
  let changed = false;
  fields.forEach((field, at) => {
    const [name, value, checked] = draft.values[at] ?? [];
    if (name !== field.name) return;
    if (["checkbox", "radio"].includes(field.type) ? field.checked !== checked : field.value !== value) changed = true;
    if (["checkbox", "radio"].includes(field.type)) field.checked = checked;
    else field.value = value;
  });
  if (draft.start && !("reloads" in own(form).dataset)) startFrom(form, draft.start);
  const note = own(form).querySelector("[data-draft-note]");
  if (changed && note) note.textContent = _("Your text from before is back.");
  const discard = own(form).querySelector("button[data-discard]");
  if (changed && discard) discard.hidden = false;
  if (changed && own(form).dataset.dirty !== undefined) own(form).dataset.dirty = "changed";
}

// The form's next save shows both versions again.
function startFrom(form, start) {
  const { "form:base": base, revision } = own(form).elements;
  own(form).dataset.start = base.value = start;
  revision.value = 0;
}
