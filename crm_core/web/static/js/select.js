// Selected rows of a list: they survive paging and sorting; another filter clears them and says so.
import { _ } from "./language.js";
import { toast } from "./parts.js";
import { addressOf, own } from "./swap.js";

const form = () => document.getElementById("bulk");
const rows = () => [...document.querySelectorAll("[data-live='rows'] .sel input[name=record]")];

let chosen = new Set();
let everything = false;

export function watchSelection() {
  // An act that is carried out ends the selection that it was made from.
  document.addEventListener("submit", ({ target }) => sessionStorage.removeItem(`selected ${addressOf(target).replace(/\/[a-z]+$/, "")}`));
  if (!form()) return;
  const stored = JSON.parse(sessionStorage.getItem(key()) ?? "null");
  const query = filterOf();
  sessionStorage.removeItem(key());
  if (document.querySelector(".toasts [data-toast]")) chosen = new Set();
  else if (stored?.query === query) chosen = new Set(stored.ids);
  else if (stored?.ids.length) toast(_("The filter changed, so nothing is selected any more."), "info");
  document.addEventListener("change", ({ target }) => {
    if ("selectPage" in target.dataset) rows().forEach((row) => put(row.value, target.checked));
    else if (target.matches(".sel input[name=record]")) put(target.value, target.checked);
    else return;
    everything = false;
    show();
  });
  document.addEventListener("click", ({ target }) => {
    if (own(target).closest("[data-select-none]")) clear();
    if (own(target).closest("[data-select-line] button")) { everything = !everything; show(); }
  });
  document.getElementById("bulk-bar").addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
  document.addEventListener("swapped", show);
  document.addEventListener("formdata", ({ target, formData }) => {
    if (target !== form()) return;
    formData.delete("record");
    if (everything) formData.set("all", "true");
    else chosen.forEach((id) => formData.append("record", id));
  });
  addEventListener("pagehide", () => sessionStorage.setItem(key(), JSON.stringify({ query, ids: [...chosen] })));
  addEventListener("pageshow", show);
  show();
}

const key = () => `selected ${addressOf(form())}`;

// The filters of the list: sorting and paging leave the selection as it is.
function filterOf() {
  const query = new URLSearchParams(own(form()).elements.query.value);
  query.delete("sort");
  query.sort();
  return query.toString();
}

function put(id, selected) {
  if (selected) chosen.add(id);
  else chosen.delete(id);
}

function clear() {
  chosen.clear();
  everything = false;
  show();
  document.querySelector("[data-select-page]")?.focus();
}

function show() {
  const bar = document.getElementById("bulk-bar");
  const line = document.querySelector("[data-select-line]");
  const { total, matches } = own(form()).dataset;
  const here = rows();
  here.forEach((row) => { row.checked = everything || chosen.has(row.value); });
  const selected = here.filter((row) => row.checked).length;
  const head = document.querySelector("[data-select-page]");
  if (head) Object.assign(head, { checked: selected > 0 && selected === here.length, indeterminate: selected > 0 && selected < here.length });
  const count = everything ? Number(total) : chosen.size;
  const status = bar.querySelector("[data-selected]");
  const [one, many] = status.dataset.selected.split("|");
  bar.toggleAttribute("data-on", count > 0);
  bar.querySelector("[data-select-none]").hidden = false;
  status.textContent = count ? _("{records} selected", { records: everything ? matches : `${count} ${count === 1 ? one : many}` }) : "";
  line.hidden = !count;
  line.querySelector("span").textContent = everything ? _("All {records} are selected.", { records: matches }) : _("Selected: {n} of the {total} on this page.", { n: selected, total: here.length });
  const button = line.querySelector("button");
  button.textContent = everything ? _("Select only some") : _("Select all {records}", { records: matches });
  button.hidden = !everything && Number(total) <= here.length;
}
