// What is replaced between press and release loses the click: a page that asks again every few seconds waits one round.
"use strict";
(() => {
  let pressed = false;
  addEventListener("pointerdown", () => { pressed = true; }, true);
  for (const over of ["pointerup", "pointercancel", "blur"]) addEventListener(over, () => setTimeout(() => { pressed = false; }, 50), true);
  document.addEventListener("htmx:beforeSwap", (event) => { if (pressed) event.detail.shouldSwap = false; });
})();
