// Moving cards between lanes: with the menu that their Move buttons share and its arrow keys, or by dragging.
import { post } from "./forms.js";

let dragged = null;
let moving = null; // the id of the card that the menu moves

export function watchBoard() {
  const board = document.querySelector("[data-board]");
  if (!board) return;
  board.addEventListener("keydown", (event) => arrow(event));
  board.addEventListener("click", ({ target }) => { if (target.closest("[popovertarget]")) aim(board, target.closest("[data-card]")); });
  board.addEventListener("toggle", ({ target, newState }) => { if (newState === "open") target.querySelector("button:not([hidden])")?.focus(); }, true);
  document.addEventListener("posted", ({ detail }) => focusCard(detail?.closest("[data-card]")?.id ?? (detail?.closest(".menu") && moving)));
  board.addEventListener("dragstart", (event) => {
    dragged = event.target.closest("[data-card]");
    if (!dragged) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.querySelector("h3").textContent);
    dragged.classList.add("dragged");
  });
  board.addEventListener("dragover", (event) => {
    const lane = laneOf(event);
    if (!lane || !dragged) return;
    event.preventDefault();
    mark(board, lane);
  });
  board.addEventListener("dragleave", (event) => { if (!board.contains(event.relatedTarget)) mark(board, null); });
  board.addEventListener("dragend", () => { dragged?.classList.remove("dragged"); dragged = null; mark(board, null); });
  board.addEventListener("drop", (event) => {
    const lane = laneOf(event);
    if (!lane || !dragged) return;
    event.preventDefault();
    const button = board.querySelector(`.menu button[value="${CSS.escape(lane.dataset.lane)}"]`);
    if (button && !lane.contains(dragged)) {
      const [card, list, next] = [dragged, dragged.parentElement, dragged.nextElementSibling];
      aim(board, card);
      lane.querySelector("ol").prepend(card);
      post(button.form, button).then((done) => { if (!done && card.isConnected) list.insertBefore(card, next); });
    }
  });
}

// Points the menu at a card: its form has the card's address, and the card's own lane is not offered.
function aim(board, card) {
  moving = card.id;
  document.getElementById("move").action = `${board.dataset.board}/${card.id.slice(5)}/set?revision=${card.dataset.card}`;
  board.querySelectorAll(".menu button").forEach((button) => { button.hidden = button.value === card.closest("[data-lane]").dataset.lane; });
}

function laneOf(event) {
  return event.target.closest("[data-lane]");
}

function mark(board, lane) {
  board.querySelectorAll(".over").forEach((one) => one !== lane && one.classList.remove("over"));
  lane?.classList.add("over");
}

// Down opens the menu; in it the arrows, Home and End move. Escape closes it, as in every popover.
function arrow(event) {
  const menu = event.target.closest(".menu");
  const opener = event.target.closest("[popovertarget]");
  if (opener && event.key === "ArrowDown") {
    event.preventDefault();
    return opener.click();
  }
  const items = [...(menu?.querySelectorAll("button:not([hidden])") ?? [])];
  const at = items.indexOf(event.target);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (at < 0 || next === undefined) return;
  event.preventDefault();
  items.at(next % items.length).focus();
}

// The moved card keeps the focus, in the lane where it is now.
function focusCard(id) {
  const card = id && document.getElementById(id);
  card?.scrollIntoView({ block: "nearest", inline: "nearest" });
  card?.focus({ preventScroll: true });
}
