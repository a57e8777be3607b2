// A light stack viewer: one picture at a time, drawn by the hub; for phones and slow lines, not for diagnosis.
"use strict";
(() => {
  const box = document.querySelector("[data-viewer]");
  if (!box) return;
  const addresses = [...box.querySelectorAll("[data-address]")].map((each) => each.dataset.address);
  const picture = box.querySelector("img");
  const slider = box.querySelector("input[type=range]");
  const said = box.querySelector("output");
  const side = Math.min(512, Math.round(window.innerWidth * (window.devicePixelRatio || 1)));
  let slice = 1;
  let look = "40,80";

  const address = (number) => `${addresses[number - 1]}?window=${look}&viewport=${side},${side}&accept=image/webp`;

  function show(number) {
    slice = Math.min(Math.max(number, 1), addresses.length);
    box.hidden = false;
    picture.src = address(slice);
    slider.value = String(slice);
    said.textContent = `${slice} / ${addresses.length}`;
    document.querySelectorAll(".strip a").forEach((bar) =>
      bar.classList.toggle("chosen", Number(bar.dataset.slice) === slice));
    for (const near of [slice + 1, slice - 1]) if (near >= 1 && near <= addresses.length) new Image().src = address(near);
  }

  document.querySelectorAll("[data-slice]").forEach((link) => link.addEventListener("click", (event) => {
    event.preventDefault();
    show(Number(link.dataset.slice));
    box.scrollIntoView({ block: "nearest" });
  }));
  picture.addEventListener("error", () => { said.textContent = `${slice} / ${addresses.length} · ${box.dataset.undrawn}`; });
  slider.addEventListener("input", () => show(Number(slider.value)));
  picture.addEventListener("wheel", (event) => { event.preventDefault(); show(slice + Math.sign(event.deltaY)); });
  box.querySelectorAll("[data-window]").forEach((button) => button.addEventListener("click", () => {
    look = button.dataset.window;
    box.querySelectorAll("[data-window]").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
    show(slice);
  }));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    if (event.key === "ArrowUp" || event.key === "k") { event.preventDefault(); show(slice + 1); }
    else if (event.key === "ArrowDown" || event.key === "j") { event.preventDefault(); show(slice - 1); }
  });
  const first = document.querySelector(".keys-row [data-slice]");
  show(first ? Number(first.dataset.slice) : Math.ceil(addresses.length / 2));
})();
