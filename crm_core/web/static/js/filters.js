// Filters of lists: with a script they apply when one is changed; in the sheet of a phone its button counts first.
import { _ } from "./language.js";
import { addressOf, fetchPage, own } from "./swap.js";

export function watchFilters() {
  const form = document.querySelector("form[role=search]");
  if (!form) return;
  own(form).addEventListener("change", ({ target }) => {
    if (target.matches(".search input, [role=combobox]")) return; // Enter searches; a picker says when one is chosen
    if (document.querySelector("#sheet:popover-open")) count(form);
    else own(form).requestSubmit();
  });
  // The address has only what filters.
  own(form).addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) if (!value) formData.delete(name);
  });
  document.querySelector("[data-columns]")?.addEventListener("submit", (event) => {
    const move = event.submitter?.name;
    if (move !== "form:up" && move !== "form:down") return;
    event.preventDefault();
    event.stopPropagation();
    const row = event.submitter.closest("li");
    if (move === "form:up") row.previousElementSibling?.before(row);
    else row.nextElementSibling?.after(row);
    event.submitter.focus();
  });
}

let latest = null;

// The number of records that the chosen filters find, on the button that applies them.
async function count(form) {
  const asked = (latest = {});
  const query = new URLSearchParams(new FormData(form));
  const { ok, page } = await fetchPage(`${addressOf(form).split("?")[0]}?${query}`).catch(() => ({ ok: false }));
  const label = own(form).querySelector("[data-show]");
  if (ok && asked === latest) label.textContent = _("Show {matching}", { matching: page.querySelector("[data-matches]").dataset.matches });
}
