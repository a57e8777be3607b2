// Paints a finding onto slices: one mask for each finding and slice, kept by the hub as a picture; undo, eraser, size by keys.
"use strict";
window.makeBrush = ({ page, api, headers, place, changed }) => {
  const canvas = page.querySelector("[data-brush]");
  const frame = canvas.parentElement;
  const size = page.querySelector("[data-brush-size]");
  const status = page.querySelector("[data-brush-status]");
  const buttons = { on: page.querySelector("[data-brush-on]"), erase: page.querySelector("[data-brush-erase]"), undo: page.querySelector("[data-brush-undo]") };
  const pen = canvas.getContext("2d");
  const masks = new Map(); // "finding|sop uid" -> { finding, sop_uid, canvas, pen, hash, stale, past }
  const sending = new Set();
  let erasing = false;

  const keyOf = ({ finding, sop_uid }) => `${finding}|${sop_uid}`;
  function maskOf(here) {
    if (!masks.has(keyOf(here))) {
      const own = document.createElement("canvas");
      own.width = canvas.width;
      own.height = canvas.height;
      masks.set(keyOf(here), { ...here, canvas: own, pen: own.getContext("2d", { willReadFrequently: true }), hash: "", stale: false, past: [] });
    }
    return masks.get(keyOf(here));
  }
  const whole = (mask) => mask.pen.getImageData(0, 0, canvas.width, canvas.height);
  const empty = (mask) => !whole(mask).data.some((value, at) => at % 4 === 3 && value > 127);

  function show() {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    for (const mask of masks.values()) if (mask.sop_uid === place().sop_uid) pen.drawImage(mask.canvas, 0, 0);
    buttons.on.setAttribute("aria-pressed", String("brushing" in frame.dataset));
    buttons.erase.setAttribute("aria-pressed", String(erasing));
    buttons.undo.disabled = !maskHere()?.past.length;
  }
  const maskHere = () => masks.get(keyOf(place()));

  async function send(mask) {
    mask.stale = false;
    if (empty(mask)) { mask.hash = ""; changed(); return; }
    const blob = await new Promise((done) => mask.canvas.toBlob(done, "image/png"));
    const answer = await fetch(`${api}/masks`, { method: "POST", headers: { ...headers, "Content-Type": "image/png" }, body: blob }).catch(() => null);
    if (mask.stale) return; // painted on meanwhile; that is sent next
    if (!answer?.ok) { mask.stale = true; status.textContent = status.dataset.lost; return; }
    mask.hash = (await answer.json()).mask;
    status.textContent = "";
    changed();
  }

  function keep(mask) {
    mask.stale = true;
    const task = send(mask).finally(() => sending.delete(task));
    sending.add(task);
  }

  // whatever was painted has its name at the hub, or is tried once more
  async function settle() {
    await Promise.all(sending);
    for (const mask of masks.values()) if (mask.stale) await send(mask);
    return [...masks.values()].every((mask) => !mask.stale);
  }

  function turn(on) {
    if (on && !place().finding) { status.textContent = status.dataset.choose; return; }
    if (on) frame.dataset.brushing = "";
    else delete frame.dataset.brushing;
    status.textContent = "";
    show();
  }

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * canvas.width, (event.clientY - box.top) / box.height * canvas.height];
  };

  function stroke(mask, from, to) {
    mask.pen.globalCompositeOperation = erasing ? "destination-out" : "source-over";
    mask.pen.strokeStyle = getComputedStyle(canvas).color;
    mask.pen.lineWidth = Number(size.value);
    mask.pen.lineCap = "round";
    mask.pen.beginPath();
    mask.pen.moveTo(...from);
    mask.pen.lineTo(to[0] + 0.01, to[1]);
    mask.pen.stroke();
    show();
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!("brushing" in frame.dataset) || !place().finding) return;
    event.preventDefault();
    const mask = maskOf(place());
    mask.past.push(whole(mask));
    if (mask.past.length > 20) mask.past.shift();
    let last = at(event);
    stroke(mask, last, last);
    canvas.setPointerCapture(event.pointerId);
    const move = (moved) => { const next = at(moved); stroke(mask, last, next); last = next; };
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerup", () => { canvas.removeEventListener("pointermove", move); keep(mask); }, { once: true });
  });

  function undo() {
    const mask = maskHere();
    if (!mask?.past.length) return;
    mask.pen.putImageData(mask.past.pop(), 0, 0);
    keep(mask);
    show();
  }

  function load(rois) {
    for (const roi of rois) {
      const mask = maskOf({ finding: roi.finding, sop_uid: roi.sop_uid });
      mask.hash = roi.mask;
      const picture = new Image();
      picture.addEventListener("load", () => {
        mask.pen.globalCompositeOperation = "source-over";
        mask.pen.drawImage(picture, 0, 0);
        mask.pen.globalCompositeOperation = "source-in";
        mask.pen.fillStyle = getComputedStyle(canvas).color;
        mask.pen.fillRect(0, 0, canvas.width, canvas.height);
        show();
      });
      picture.src = `${api}/masks/${roi.mask}.png`;
    }
  }

  const rois = () => [...masks.values()].filter((mask) => mask.hash).map(({ finding, sop_uid, hash }) => ({ kind: "seg", finding, sop_uid, points: [], mask: hash }));
  const resize = (by) => { size.value = String(Number(size.value) + by); };
  const toggle = () => turn(!("brushing" in frame.dataset));
  const erase = () => { erasing = !erasing; if (erasing) turn(true); show(); };
  buttons.on.addEventListener("click", toggle);
  buttons.erase.addEventListener("click", erase);
  buttons.undo.addEventListener("click", undo);

  const keys = { b: toggle, e: erase, z: undo, "[": () => resize(-2), "]": () => resize(2) };
  return { show, load, rois, settle, keys };
};
