// Forms: one click sends once, unsaved text is not lost unasked, the first wrong field has the focus.
import { fetchPage, swapParts } from "./swap.js";
import { show, strong, icon, toast } from "./parts.js";

export function watchForms() {
  document.addEventListener("submit", submitted);
  document.addEventListener("change", (event) => {
    if ("submit" in event.target.dataset) event.target.form.requestSubmit();
    // Later: a sentence that appears between press and release would move the button away from under the pointer.
    setTimeout(() => check(event.target), 250);
  });
  document.addEventListener("input", dirty);
  addEventListener("beforeunload", (event) => {
    if (document.querySelector("form[data-dirty='changed']")) event.preventDefault();
  });
  addEventListener("pageshow", () => document.querySelectorAll("[aria-busy='true']").forEach(free));
  document.querySelector("main [aria-invalid='true']")?.focus();
}

function submitted(event) {
  const form = event.target;
  const button = event.submitter;
  if (form.method === "dialog" || event.defaultPrevented) return;
  if (button?.getAttribute("aria-busy") === "true") return event.preventDefault();
  if (form.dataset.dirty) form.dataset.dirty = "";
  if (form.matches("[data-move], [data-swap-post]") || form.querySelector("[data-submit]:is(input)")) {
    event.preventDefault();
    return post(form, button);
  }
  if ("steps" in form.dataset) {
    event.preventDefault();
    busy(button);
    return steps(form, button);
  }
  if (button?.dataset.busy) busy(button);
}

// Sends a form and takes from the answering page what changed, and what it says was done.
export async function post(form, button = null) {
  const data = new URLSearchParams(new FormData(form));
  if (button?.name) data.set(button.name, button.value);
  form.closest("[popover]")?.hidePopover();
  try {
    const { ok, page } = await fetchPage(form.action, { method: "POST", body: data });
    const said = page.querySelector(".toasts [data-toast]");
    if (ok && page.querySelector("[data-live]")) {
      swapParts(page, { asked: true });
      if (said) show(document.importNode(said, true));
      return true;
    }
    refused(page.querySelector(".empty h1, h1")?.textContent ?? "That did not work", page.querySelector(".empty p")?.textContent ?? "");
  } catch {
    refused("That did not reach the server", "Nothing was changed. Try it again when you are connected.");
  }
  const { ok, page } = await fetchPage(location.href).catch(() => ({ ok: false }));
  if (ok) swapParts(page, { asked: true }); // back to what is true
  return false;
}

function refused(title, text) {
  document.querySelector("[data-refused]")?.remove();
  const banner = document.createElement("div");
  banner.className = "banner bad";
  banner.dataset.refused = "";
  banner.setAttribute("role", "alert");
  const said = strong(title + ".");
  said.append(` ${text}`);
  banner.append(icon("alert"), said);
  document.querySelector("main .page-head").after(banner);
}

function busy(button) {
  button.dataset.idle = button.textContent;
  button.style.minWidth = `${button.offsetWidth}px`;
  button.setAttribute("aria-busy", "true");
  button.textContent = button.dataset.busy;
}

function free(button) {
  button.removeAttribute("aria-busy");
  if (button.dataset.idle) button.textContent = button.dataset.idle;
}

function dirty(event) {
  const form = event.target.closest("form[data-dirty]");
  if (!form) return;
  form.dataset.dirty = "changed";
  form.querySelector("[data-dirty-note]")?.removeAttribute("hidden");
}

// The browser's own checks on leaving a field; the server has the last word.
function check(input) {
  const field = input.closest(".field");
  if (!field || !input.id || !input.matches(".in")) return;
  const wrong = !input.validity.valid && input.value !== "";
  field.querySelector(".err[data-own]")?.remove();
  if (input.getAttribute("aria-invalid") === "true" && !wrong) {
    input.removeAttribute("aria-invalid");
    field.querySelector(".err")?.remove();
  }
  if (!wrong) return;
  const said = document.createElement("span");
  said.className = "err";
  said.dataset.own = "";
  said.id = `${input.id}-own`;
  said.append(icon("alert"), input.validationMessage);
  field.append(said);
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", said.id);
}

// The test mail: the answer tells each step on a line of its own as it is done.
async function steps(form, button) {
  const result = form.querySelector("[data-result]");
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/x-ndjson" } });
    if (!answer.ok || !answer.headers.get("Content-Type")?.startsWith("application/x-ndjson")) throw new Error("refused");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      rest += value;
      const lines = rest.split("\n");
      rest = lines.pop();
      for (const line of lines) if (line) result.replaceChildren(...fragment(JSON.parse(line).html));
    }
  } catch {
    toast("The test could not be made; load the page anew", "bad");
  }
  free(button);
}

function fragment(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  return [...page.body.childNodes].map((node) => document.importNode(node, true));
}
