// Forms: one click sends once, leaving with unsaved text asks first, the first invalid field has the focus.
import { _ } from "./language.js";
import { addressOf, adopted, fetchPage, own, parsed, swapParts } from "./swap.js";
import { ended } from "./live.js";
import { element, icon, notice, showConfirmation, toast } from "./parts.js";

export function watchForms() {
  document.addEventListener("submit", submitted);
  document.addEventListener("change", (event) => {
    if ("submit" in event.target.dataset) own(event.target.form).requestSubmit();
    // Later: a sentence that appears between press and release would move the button away from under the pointer.
    setTimeout(() => check(event.target), 250);
  });
  document.addEventListener("keydown", ({ target, key, ctrlKey, metaKey }) => {
    if (key === "Enter" && (ctrlKey || metaKey) && target.matches("textarea") && target.form) own(target.form).requestSubmit();
  });
  document.addEventListener("input", dirty);
  document.addEventListener("input", echo);
  addEventListener("beforeunload", (event) => {
    if (document.querySelector("form[data-dirty='changed'], [data-once]")) event.preventDefault();
  });
  // What is shown only once is copied, or said to be stored.
  document.addEventListener("click", ({ target }) => own(target).closest("[data-once] :is(a, button)")?.closest("[data-once]").removeAttribute("data-once"));
  addEventListener("pageshow", () => document.querySelectorAll("[aria-busy='true']").forEach(free));
  const wrong = document.querySelectorAll("main [aria-invalid='true']");
  const notice = wrong.length === 1 ? null : document.querySelector("[data-errors]");
  (notice ?? wrong[0] ?? document.querySelector("[data-new] .in"))?.focus();
  addEventListener("load", filtered); // not before: a fragment in the address takes the focus away
}

function submitted(event) {
  const target = event.target;
  const form = own(target);
  const button = event.submitter;
  const pressed = button && !button.hidden ? button : form.querySelector("button[data-busy]:not([hidden] *)"); // by the Enter key
  if (form.method === "dialog" || event.defaultPrevented) return;
  if (pressed?.getAttribute("aria-busy") === "true") return event.preventDefault();
  if (form.dataset.dirty) form.dataset.dirty = "";
  if (form.method === "get") sessionStorage.setItem("filtered", JSON.stringify([new URL(addressOf(target)).pathname, document.activeElement.id]));
  if (form.matches("[data-swap-post]") || form.querySelector("[data-submit]:is(input)")) {
    event.preventDefault();
    return post(target, button);
  }
  if ("unsaved" in form.dataset && !form.elements.csrf.value) {
    event.preventDefault();
    return again(target);
  }
  if ("steps" in form.dataset && !("plain" in (button?.dataset ?? {}))) {
    event.preventDefault();
    busy(button);
    return steps(target, button);
  }
  if (pressed?.dataset.busy) busy(pressed);
}

// A filter loads the page again: the focus stays on it, and a screen reader says how many records match.
function filtered() {
  const [path, id] = JSON.parse(sessionStorage.getItem("filtered") ?? "[]");
  sessionStorage.removeItem("filtered");
  const field = path === location.pathname && id ? document.getElementById(id) : null;
  const status = document.querySelector("[data-matches][role=status]");
  field?.focus({ preventScroll: true });
  field?.select?.();
  if (field && status) setTimeout(() => { status.textContent = status.textContent; }, 500); // after the name of the field
}

// Sends a form, swaps in the changed parts of the page in the response, and shows its confirmation.
export async function post(form, button = null) {
  const data = new URLSearchParams(new FormData(form));
  if (button?.name) data.set(button.name, button.value);
  (button ?? own(form)).closest("[popover]")?.hidePopover();
  try {
    const { ok, redirected, url, page } = await fetchPage(button?.getAttribute("formaction") ?? addressOf(form), { method: "POST", body: data });
    if (redirected && new URL(url).pathname === `${document.body.dataset.root}/login`) {
      own(form).reset();
      ended(_("Nothing was changed. Sign in, then try again."));
      return false;
    }
    if (ok && page.querySelector("[data-live]")) {
      swapParts(page, { asked: true });
      showConfirmation(page);
      document.dispatchEvent(new CustomEvent("posted", { detail: button }));
      return true;
    }
    refused(page);
  } catch {
    refused();
  }
  own(form).reset(); // back to the stored state
  const { ok, page } = await fetchPage(location.href).catch(() => ({ ok: false }));
  if (ok) swapParts(page, { asked: true });
  return false;
}

// Sends the input of a page that had no session, with the token of the sign-in that there is now.
async function again(form) {
  const { ok, redirected, page } = await fetchPage(`${document.body.dataset.root}/frame`).catch(() => ({ ok: false }));
  if (!ok || redirected) return toast(_("Sign in in a new tab first."), "info");
  own(form).elements.csrf.value = page.querySelector("[name=csrf]").value;
  own(form).submit();
}

// Says what the page of a refusal says; without one, that there was no answer.
export function refused(page) {
  const said = (selector) => page.querySelector(selector)?.textContent;
  const title = page ? said(".empty h1, h1") ?? _("Something went wrong") : _("The server could not be reached");
  const text = page ? said(".empty p") ?? "" : _("Check your connection and try again.");
  document.querySelector("[data-refused]")?.remove();
  const banner = notice("bad", "alert", `${title}.`, text);
  banner.dataset.refused = "";
  banner.setAttribute("role", "alert");
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
  own(form).dataset.dirty = "changed";
  own(form).querySelector("[data-dirty-note]")?.removeAttribute("hidden");
}

// The server reads numbers and dates by the workspace's locale; its reading appears below the field.
function echo({ target }) {
  const form = target.closest("form[data-path]");
  if (!form || !("read" in target.dataset)) return;
  if (target.closest(".field").querySelector("[role=group]")) answered(target);
  clearTimeout(target.echoTimer);
  target.echoTimer = setTimeout(async () => {
    const output = target.closest(".field").querySelector("[data-echo]");
    const typed = target.value;
    const query = new URLSearchParams({ field: target.name, text: typed, currency: own(form).elements.currency?.value || "" });
    const answer = typed.trim() ? await fetch(`${own(form).dataset.path}/reading?${query}`).catch(() => null) : null;
    const read = answer?.ok && !answer.redirected; // to the sign-in page
    if (typed !== target.value) return;
    output.textContent = read ? (await answer.json()).text : "";
    if (output.textContent) answered(target);
  }, 500);
}

// Another text has other readings than those that the field asks about.
function answered(input) {
  const field = input.closest(".field");
  field.querySelectorAll("[role=group], .err").forEach((one) => one.remove());
  input.removeAttribute("aria-invalid");
}

// The browser's own checks when a field is left; the server checks again.
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
  const message = element("span", { className: "err", id: `${input.id}-own` });
  message.dataset.own = "";
  message.append(icon("alert"), input.validationMessage);
  field.append(message);
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", message.id);
}

// Long work, such as a test email: the response has a line for each step, sent when the step is done.
async function steps(form, button) {
  const result = own(form).querySelector("[data-result]");
  const stop = new AbortController();
  const stopped = ({ target }) => { if (target.closest("[data-stop]")) stop.abort(); };
  own(form).addEventListener("click", stopped);
  const url = button?.getAttribute("formaction") ?? addressOf(form);
  const data = new FormData(form);
  const body = own(form).enctype === "multipart/form-data" ? data : new URLSearchParams(data);
  try {
    const answer = await fetch(url, { method: "POST", body, headers: { Accept: "application/x-ndjson" }, signal: stop.signal });
    if (!answer.headers.get("Content-Type")?.startsWith("application/x-ndjson")) return showPage(await answer.text());
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      rest += value;
      const lines = rest.split("\n");
      rest = lines.pop();
      for (const line of lines) if (line) step(result, adopted(parsed(JSON.parse(line).html).body));
    }
  } catch {
    if (stop.signal.aborted) toast(_("Stopped. The changes up to here stay."), "info");
    else toast(_("The connection broke. Reload the page to see how far it came."), "bad");
    result.querySelector("[data-stop]")?.remove();
  } finally {
    own(form).removeEventListener("click", stopped);
    if (button) free(button);
  }
}

// The page of a refusal in place of this one.
function showPage(html) {
  document.getElementById("main").replaceChildren(...adopted(parsed(html).getElementById("main")));
}

// While it runs only the progress changes, so that a click on Stop meets its button.
function step(result, nodes) {
  const part = (selector) => nodes.find((node) => node.matches?.(selector)) ?? nodes.map((node) => node.querySelector?.(selector)).find(Boolean);
  const [stop, status] = [part("[data-stop]"), part("[role=status]")];
  if (stop && result.querySelector("[data-stop]")) return result.querySelector("[role=status]").replaceWith(status);
  result.replaceChildren(...nodes);
  if (document.activeElement === document.body) (stop ?? result.querySelector("footer a"))?.focus();
}
