// Rows of a form: added and removed in place. Without this script their buttons fetch the form with one row more or less.
import { own } from "./swap.js";

export function watchRows() {
  document.addEventListener("click", (event) => {
    const button = own(event.target).closest("[data-rows] button");
    if (!button) return;
    const group = button.closest("[data-rows]");
    if (button.name === "form:add") add(group).querySelector(".in")?.focus();
    else if (button.name === "form:remove") remove(group, button.closest("[data-row]"));
    else return;
    event.preventDefault();
    group.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

// As many rows as a stored draft has.
export function fitRows(form, names) {
  for (const group of own(form).querySelectorAll("[data-rows]")) {
    const start = `${group.dataset.rows}.`;
    const count = new Set(names.filter((name) => name.startsWith(start)).map((name) => name.split(".")[1])).size;
    while (rows(group).length < count) add(group);
    while (rows(group).length > count) rows(group).at(-1).remove();
  }
}

const rows = (group) => [...group.querySelectorAll("[data-row]")];

function add(group) {
  const row = document.importNode(group.querySelector("template").content, true).querySelector("[data-row]");
  group.querySelector("template").before(row);
  number(group);
  return row;
}

function remove(group, row) {
  const next = row.nextElementSibling?.matches("[data-row]") ? row.nextElementSibling : row.previousElementSibling;
  row.remove();
  number(group);
  (next?.matches("[data-row]") ? next.querySelector(".in") : group.querySelector("[name='form:add']")).focus();
}

// The names, ids and labels of the fields contain the number of their row.
function number(group) {
  const name = group.dataset.rows;
  rows(group).forEach((row, at) => {
    const old = row.dataset.row;
    row.querySelector(`[type=hidden][name="${name}"]`).value = at;
    for (const element of [row, ...row.querySelectorAll("*")]) {
      for (const attribute of element.attributes) {
        if (attribute.name === "aria-label" && (element === row || element.name === "form:remove")) attribute.value = attribute.value.replace(/[0-9]+/, at + 1);
        else if (attribute.name !== "value" || element.matches("button"))
          attribute.value = attribute.value.replace(`${name}.${old}`, `${name}.${at}`).replace(`f-${name}-${old}-`, `f-${name}-${at}-`);
      }
    }
    row.dataset.row = at;
  });
}
