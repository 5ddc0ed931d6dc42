// Pickers: a combobox (ARIA 1.2) that searches on the server; the form sends the id of what was chosen.
import { _, ngettext } from "./language.js";
import { element } from "./parts.js";
import { own, parsed } from "./swap.js";

const WAIT = 150;

export function watchPickers() {
  document.addEventListener("input", (event) => { if (of(event.target)) typed(of(event.target)); });
  document.addEventListener("keydown", (event) => { if (of(event.target)) key(of(event.target), event); });
  document.addEventListener("focusout", (event) => { if (of(event.target)) open(of(event.target), false); });
  document.addEventListener("pointerdown", (event) => {
    const option = own(event.target).closest("[data-picker] [role=option]");
    if (own(event.target).closest("[data-picker] :is(.options, .tools)")) event.preventDefault(); // the input keeps the focus
    if (option) choose(of(option), option);
  });
  // The address of a list needs the values only.
  document.addEventListener("formdata", ({ target, formData }) => {
    if (own(target).role === "search") [...formData.keys()].filter((name) => name.endsWith(":text")).forEach((name) => {
      if (formData.get(name.slice(0, -5)) || !formData.get(name)) formData.delete(name);
    });
  });
  document.addEventListener("click", (event) => {
    const button = own(event.target).closest("[data-picker] .tools button");
    if (!button) return;
    const picker = of(button);
    if (!picker) return;
    picker.input.focus();
    if ("clear" in button.dataset) set(picker, "", "");
    else if (picker.list.hidden) search(picker, "");
    else open(picker, false);
  });
}

function of(node) {
  const box = node.closest?.("[data-picker]");
  const input = box?.querySelector("[role=combobox]");
  return input && !input.readOnly && {
    box,
    input,
    value: box.querySelector("[type=hidden]"),
    list: box.querySelector("[role=listbox]"),
    status: box.querySelector("[role=status]"),
  };
}

function typed(picker) {
  picker.value.value = "";
  picker.box.enter = false;
  picker.box.querySelector("[data-clear]").hidden = !picker.input.value;
  clearTimeout(picker.box.timer);
  const text = picker.input.value.trim();
  if (!text) return open(picker, false);
  picker.box.timer = setTimeout(() => search(picker, text), WAIT);
}

// The last search wins: an answer to an earlier one is dropped.
async function search(picker, text) {
  const asked = (picker.box.asked = {});
  const path = own(picker.box.closest("[data-path]")).dataset.path;
  const query = new URLSearchParams({ field: picker.box.dataset.picker, q: text });
  const slow = setTimeout(() => asked === picker.box.asked && list(picker, [note(_("Searching"))]), 300);
  const answer = await fetch(`${path}/choices?${query}`).then((found) => (found.ok ? found.json() : null)).catch(() => null);
  clearTimeout(slow);
  if (asked !== picker.box.asked || document.activeElement !== picker.input) return;
  if (!answer) return list(picker, [note((picker.status.textContent = _("Search did not answer. Try again.")))]);
  const rows = answer.items.map((one) => option(one, text));
  if (answer.more) rows.push(note(_("{n} more match. Type more to narrow.", { n: answer.more })));
  if (!answer.items.length && text) rows.push(note(_("Nothing matches “{text}”", { text })));
  if (answer.create && text) rows.push(creator(answer, text));
  list(picker, rows);
  activate(picker, text ? picker.list.querySelector("[role=option]") : null);
  picker.box.moved = false;
  if (picker.box.enter && answer.items.length) return choose(picker, picker.list.querySelector("[role=option]"));
  const count = answer.items.length + answer.more;
  picker.status.textContent = count ? ngettext("{n} match", "{n} matches", count) : _("No match");
}

function list(picker, rows) {
  picker.list.replaceChildren(...rows);
  [...picker.list.querySelectorAll("[role=option]")].forEach((row, at) => { row.id = `${picker.list.id}-${at}`; });
  open(picker, rows.length > 0);
}

function open(picker, shown) {
  picker.list.hidden = !shown;
  picker.input.setAttribute("aria-expanded", String(shown));
  if (!shown) {
    picker.box.asked = null;
    activate(picker, null);
  }
}

function activate(picker, row) {
  picker.list.querySelectorAll("[role=option]").forEach((one) => {
    one.classList.toggle("active", one === row);
    one.setAttribute("aria-selected", String(one === row));
  });
  row?.scrollIntoView({ block: "nearest" });
  if (row) picker.input.setAttribute("aria-activedescendant", row.id);
  else picker.input.removeAttribute("aria-activedescendant");
}

function key(picker, event) {
  const rows = [...picker.list.querySelectorAll("[role=option]")];
  const at = rows.findIndex((row) => row.classList.contains("active"));
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    if (picker.list.hidden) search(picker, picker.value.value ? "" : picker.input.value.trim());
    else move(picker, rows, at, step);
  } else if (event.key === "Enter" && picker.input.value && !picker.value.value && (picker.list.hidden || at < 0)) {
    event.preventDefault();
    picker.box.enter = true; // the matches are still on their way
  } else if (event.key === "Enter" && !picker.list.hidden && at >= 0) {
    event.preventDefault();
    choose(picker, rows[at]);
  } else if (event.key === "Escape" && !picker.list.hidden) {
    open(picker, false);
  } else if (event.key === "Escape" && picker.input.value) {
    set(picker, "", "");
  }
}

// A match is marked before anything is pressed: who goes down to a single one means it, not the row below that creates.
function move(picker, rows, at, step) {
  const next = rows[at < 0 && step < 0 ? rows.length - 1 : (at + step + rows.length) % rows.length];
  if (step < 0 || picker.box.moved || !next.dataset.create) activate(picker, next);
  picker.box.moved = true;
}

function choose(picker, row) {
  if (row.dataset.create) return create(picker, JSON.parse(row.dataset.create));
  set(picker, row.dataset.value, row.dataset.text);
}

function set(picker, value, text) {
  picker.value.value = value;
  picker.input.value = text;
  picker.box.querySelector("[data-clear]").hidden = !text;
  picker.input.removeAttribute("aria-invalid");
  open(picker, false);
  picker.value.dispatchEvent(new Event("change", { bubbles: true }));
}

// The short form of a new record; what it creates is chosen at once.
function create(picker, { create: singular, fields, text }) {
  open(picker, false);
  const form = element("form", { className: "stack pad", method: "dialog" });
  const heading = element("h2", { textContent: _("New {record}", { record: singular }) });
  const dialog = element("dialog", { ariaLabel: heading.textContent });
  const problem = element("p", { className: "err" });
  problem.setAttribute("role", "alert");
  form.append(heading, problem, ...fields.map(([name, label]) => field(name, label, name === "name" ? text : "")), buttons(singular));
  dialog.append(form);
  dialog.addEventListener("close", () => { dialog.remove(); picker.input.focus(); });
  let sent = false;
  own(form).addEventListener("submit", async (event) => {
    if (event.submitter?.value === "cancel") return;
    event.preventDefault();
    if (sent) return; // twice would be two records
    sent = true;
    const body = new URLSearchParams(new FormData(form));
    body.set("csrf", own(picker.box.closest("form")).elements.csrf.value);
    const made = await created(`${document.body.dataset.root}/${picker.box.dataset.refers}/quick`, body).catch(() => ({}));
    sent = false;
    if (!made.value) return void (problem.textContent = made.errors ? Object.values(made.errors).join(" ") : _("It was not created. Try again."));
    dialog.close();
    set(picker, made.value, made.text);
  });
  document.body.append(dialog);
  dialog.showModal();
}

// The new record, or the errors of its fields; of a refusal the sentences of its page.
async function created(url, body) {
  const answer = await fetch(url, { method: "POST", body });
  if (answer.redirected) return { errors: [_("You are signed out."), _("Nothing was changed. Sign in, then try again.")] };
  if (answer.headers.get("Content-Type")?.startsWith("application/json")) return answer.json();
  return { errors: [...parsed(await answer.text()).querySelectorAll(".empty h1, .empty p:not(.small)")].map((one) => one.textContent.replace(/[.]?$/, ".")) };
}

function field(name, label, value) {
  const box = element("label", { className: "field" });
  box.append(label, element("input", { className: "in", name, value, maxLength: 200 }));
  return box;
}

function buttons(singular) {
  const row = element("div", { className: "row" });
  for (const [text, value, kind] of [[_("Create {record}", { record: singular }), "", "primary"], [_("Cancel"), "cancel", "quiet"]]) {
    row.append(element("button", { className: `btn ${kind}`, value, textContent: text, formNoValidate: true }));
  }
  return row;
}

function option({ value, text, label, about }, sought) {
  const row = element("li", { role: "option" });
  Object.assign(row.dataset, { value, text });
  row.append(...marked(label, sought));
  if (about) row.append(element("small", { textContent: about }));
  return row;
}

function marked(label, sought) {
  const at = sought ? label.toLowerCase().indexOf(sought.toLowerCase()) : -1;
  if (at < 0) return [label];
  const mark = element("mark", { textContent: label.slice(at, at + sought.length) });
  return [label.slice(0, at), mark, label.slice(at + sought.length)];
}

function creator(answer, text) {
  const row = element("li", { role: "option", className: "create", textContent: _("Create {record} “{text}”", { record: answer.create, text }) });
  row.dataset.create = JSON.stringify({ ...answer, items: undefined, text });
  return row;
}

function note(text) {
  return element("li", { role: "presentation", className: "note", textContent: text });
}
