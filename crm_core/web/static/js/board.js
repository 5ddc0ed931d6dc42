// Dragging cards between lanes, as an alternative to each card's Move button.
import { post } from "./forms.js";

let dragged = null;

export function watchBoard() {
  const board = document.querySelector("[data-board]");
  if (!board) return;
  board.addEventListener("dragstart", (event) => {
    dragged = event.target.closest("[data-card]");
    if (!dragged) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.dataset.name);
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
    const button = dragged.querySelector(`[data-move] button[value="${CSS.escape(lane.dataset.lane)}"]`);
    if (button && !button.disabled) {
      lane.querySelector("ol").append(dragged);
      post(button.form, button);
    }
  });
}

function laneOf(event) {
  return event.target.closest("[data-lane]");
}

function mark(board, lane) {
  board.querySelectorAll(".over").forEach((one) => one !== lane && one.classList.remove("over"));
  lane?.classList.add("over");
}
