// The reader's form: slices, what is seen in them, saved as one goes, handed in when complete. Works without a mouse.
"use strict";
(() => {
  const page = document.querySelector("[data-label]");
  if (!page) return;
  const form = page.querySelector("[data-form]");
  const uids = JSON.parse(page.dataset.uids);
  const picture = page.querySelector("img");
  const slider = page.querySelector("input[type=range]");
  const boxes = page.querySelector("[data-boxes]");
  const status = page.querySelector("[data-status]");
  const refused = page.querySelector("[data-refused]");
  const api = page.dataset.label;
  const judges = "judges" in page.dataset; // an adjudicator sends a comment of its own
  const headers = { "Content-Type": "application/json", ...JSON.parse(document.body.getAttribute("hx-headers")) };
  const box = page.querySelector("[data-box]");
  const brush = window.makeBrush({ page, api, headers, place: () => ({ finding: box.value, sop_uid: uids[slice - 1] }), changed: () => changed() });
  const KINDS = ["epidural", "subdural", "subarachnoid", "intraparenchymal", "intraventricular"];
  const ROWS = ["any", ...KINDS, "acute"];
  const extents = {};
  const keySlices = new Set();
  let rois = [];
  let slice = Math.ceil(uids.length / 2);
  let look = "40,80";
  let chosen = 0;
  let pending = null;

  const scene = () => page.dataset.scene;
  const remembered = `hub.scene.${page.dataset.reader}`;
  const ohif = "viewer" in page.dataset ? window.makeOhif({
    page, api, uids,
    finding: () => box.value,
    moved: (n) => { slice = n; mark(); },
    pressed: (event) => press(event),
    say: (words) => { page.querySelector("[data-scene-status]").textContent = words; },
    boxes: {
      all: () => rois.filter((each) => each.kind === "bbox"),
      add: (roi) => { rois.push(roi); changed(); return roi; },
      change: (roi, to) => { Object.assign(roi, to); changed(); },
      remove: (roi) => { rois = rois.filter((each) => each !== roi); changed(); },
    },
  }) : null;

  const address = (n) => `${api}/slices/${n}.webp?window=${look}`;
  const value = (name) => form.elements[name]?.value || null;
  const set = (name, to) => { if (form.elements[name] && to !== null && to !== undefined) form.elements[name].value = String(to); };
  const ticked = (name) => [...form.querySelectorAll(`[name=${name}]:checked`)].map((each) => each.value);

  function show(n) {
    slice = Math.min(Math.max(n, 1), uids.length);
    mark();
    if (scene() !== "simple") { ohif.show(slice); return; }
    picture.src = address(slice);
    drawBoxes();
    brush.show();
    for (const near of [slice + 1, slice - 1]) if (near >= 1 && near <= uids.length) new Image().src = address(near);
  }

  // 0: OHIF shows no slice, but a plane through many
  function mark() {
    slider.value = String(slice || 1);
    page.querySelector("[data-slice-number]").textContent = `${slice || "–"} / ${uids.length}`;
    page.querySelector("[data-key-slice]").setAttribute("aria-pressed", String(keySlices.has(uids[slice - 1])));
  }

  async function enter(to) {
    const refused = to === "simple" ? "" : await ohif.open(to === "apart");
    if (to === "simple" || refused) page.dataset.scene = "simple";
    page.querySelector("[data-scene-status]").textContent = refused;
    page.querySelectorAll("[data-enter]").forEach((each) => each.setAttribute("aria-pressed", String(each.dataset.enter === scene())));
    show(slice || 1);
  }

  function drawBoxes(extra) {
    const here = rois.filter((each) => each.sop_uid === uids[slice - 1]).map((each) => each.points);
    boxes.replaceChildren(...[...here, ...(extra ? [extra] : [])].map(([from, to]) => {
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [name, number] of Object.entries({ x: Math.min(from[0], to[0]), y: Math.min(from[1], to[1]), width: Math.abs(to[0] - from[0]), height: Math.abs(to[1] - from[1]) })) rect.setAttribute(name, number);
      return rect;
    }));
  }

  function drawExtents() {
    page.querySelectorAll("[data-extent]").forEach((box) => {
      const [first, last] = extents[box.dataset.extent] || [];
      box.querySelector("output").textContent = first ? `${first}–${last || "?"}` : "";
    });
    ROWS.forEach((name, n) => form.querySelector(`[data-row=${name}]`).classList.toggle("chosen", n === chosen));
    const abc = abc2();
    page.querySelector("[data-volume]").textContent = abc ? `${(abc.a_cm * abc.b_cm * abc.slices * abc.thick_mm / 20).toFixed(1)} ml` : "";
    for (const side of ["R", "L"]) {
      const marked = page.querySelectorAll(`[data-aspects=${side}][aria-checked=true]`).length;
      page.querySelector(`[data-score=${side}]`).textContent = `${side} ${10 - marked}`;
    }
  }

  const aspects = (side) => [...page.querySelectorAll(`[data-aspects=${side}][aria-checked=true]`)].map((each) => each.dataset.region);

  // A, B and C of a haematoma, once all three were measured
  function abc2() {
    const [a_cm, b_cm, slices, thick_mm] = ["a", "b", "slices", "thick"].map((each) => Number(value(`abc_${each}`) || 0));
    return a_cm && b_cm && slices && thick_mm ? { a_cm, b_cm, slices, thick_mm } : null;
  }

  function collect() {
    const territory = ticked("territory");
    const scored = ["R", "L"].filter((side) => aspects(side).length || (territory.includes("MCA") && [side, "bilat"].includes(value("side"))));
    const kinds = Object.fromEntries(KINDS.filter((kind) => value(kind)).map((kind) => [kind, value(kind)]));
    const touched = value("shift") !== null || form.elements.hydrocephalus.checked || form.elements.herniation.checked;
    return {
      quality: { diagnostic: value("diagnostic") === "true", issues: ticked("issues") },
      haemorrhage: value("any") ? { any: value("any"), kinds, ...(value("any") === "absent" ? {} : { age: value("age"), sites: ticked("sites"), abc2: abc2() }) } : null,
      other: ticked("other"),
      ischaemia: value("acute") ? {
        acute: value("acute"), side: value("side"), territory, aspects: scored.map((side) => ({ side, affected: aspects(side) })),
        hyperdense_vessel: value("vessel"), old_infarct: value("old") === null ? null : value("old") === "true",
      } : null,
      mass_effect: touched ? { midline_shift_mm: Number(value("shift") || 0), hydrocephalus: form.elements.hydrocephalus.checked, herniation: form.elements.herniation.checked } : null,
      triage: value("triage"), confidence: value("confidence") ? Number(value("confidence")) : null,
      key_slices: uids.filter((uid) => keySlices.has(uid)),
      extents: Object.entries(extents).filter(([, [first, last]]) => first && last).map(([finding, [first, last]]) => ({ finding, first: uids[first - 1], last: uids[last - 1] })),
      rois: [...rois, ...brush.rois()], comment: value("comment") || "",
    };
  }

  function fill(entered) {
    if (!entered.quality) return;
    set("diagnostic", entered.quality.diagnostic);
    for (const [name, words] of [["issues", entered.quality.issues], ["territory", entered.ischaemia?.territory || []], ["sites", entered.haemorrhage?.sites || []], ["other", entered.other || []]])
      form.querySelectorAll(`[name=${name}]`).forEach((each) => { each.checked = words.includes(each.value); });
    set("any", entered.haemorrhage?.any);
    for (const [kind, answer] of Object.entries(entered.haemorrhage?.kinds || {})) set(kind, answer);
    const infarct = entered.ischaemia || {}, blood = entered.haemorrhage || {};
    for (const [name, to] of [["age", blood.age], ["abc_a", blood.abc2?.a_cm], ["abc_b", blood.abc2?.b_cm], ["abc_slices", blood.abc2?.slices], ["abc_thick", blood.abc2?.thick_mm]]) set(name, to);
    page.querySelector("[data-more]").open = Boolean(blood.age || blood.sites?.length || blood.abc2);
    for (const [name, to] of [["acute", infarct.acute], ["side", infarct.side], ["vessel", infarct.hyperdense_vessel], ["old", infarct.old_infarct], ["triage", entered.triage], ["confidence", entered.confidence], ["comment", entered.comment], ["shift", entered.mass_effect?.midline_shift_mm]]) set(name, to);
    for (const name of ["hydrocephalus", "herniation"]) form.elements[name].checked = Boolean(entered.mass_effect?.[name]);
    for (const { side, affected } of infarct.aspects || [])
      for (const region of affected) page.querySelector(`[data-aspects=${side}][data-region=${region}]`)?.setAttribute("aria-checked", "true");
    for (const { finding, first, last } of entered.extents || []) extents[finding] = [uids.indexOf(first) + 1, uids.indexOf(last) + 1];
    for (const uid of entered.key_slices || []) keySlices.add(uid);
    rois = (entered.rois || []).filter((each) => each.kind !== "seg");
    brush.load((entered.rois || []).filter((each) => each.kind === "seg"));
  }

  async function send(method, path) {
    const answer = await fetch(api + path, { method, headers, body: JSON.stringify(judges && !path ? { label: collect(), comment: value("comment") || "" } : collect()) });
    return [answer.ok, answer.ok ? await answer.json() : (await answer.json().catch(() => ({}))).detail || String(answer.status)];
  }

  async function save() {
    pending = null;
    const [ok] = await send("PUT", "/draft").catch(() => [false]);
    status.textContent = ok ? page.dataset.saved : page.dataset.lost;
    status.dataset.state = ok ? "saved" : "lost";
  }

  function changed() {
    status.textContent = "…";
    status.dataset.state = "open";
    clearTimeout(pending);
    pending = setTimeout(save, 800);
    drawExtents();
  }

  async function handIn() {
    clearTimeout(pending);
    pending = null;
    const painted = await brush.settle(); // it asks for a draft, which the read makes needless
    clearTimeout(pending);
    pending = null;
    const [ok, said] = !painted ? [false, page.dataset.lost] : await send("POST", "").catch((error) => [false, String(error)]);
    if (ok) { window.location.assign(page.dataset.next); return; }
    refused.hidden = false;
    refused.textContent = said;
    refused.scrollIntoView({ block: "nearest" });
  }

  function answer(name, to) {
    set(name, to);
    if (name === "any" && to === "absent") KINDS.forEach((kind) => set(kind, "absent"));
    if (KINDS.includes(name) && to === "present") {
      set("any", "present");
      KINDS.filter((kind) => !value(kind)).forEach((kind) => set(kind, "absent"));
    }
    changed();
  }

  function normal() {
    answer("any", "absent");
    for (const [name, to] of [["diagnostic", true], ["acute", "absent"], ["vessel", "none"], ["old", false], ["shift", 0], ["triage", "normal"], ["confidence", 5]]) set(name, to);
    changed();
  }

  const findingOf = (name) => form.querySelector(`[data-row=${name}] [data-extent]`)?.dataset.extent;
  function end(finding, which) {
    if (!finding || !slice) return;
    const [first, last] = extents[finding] || [];
    const pair = which === "first" ? [slice, last] : [first || slice, slice];
    extents[finding] = pair[1] && pair[0] > pair[1] ? [pair[1], pair[0]] : pair;
    changed();
  }

  function keySlice() {
    if (!slice) return;
    const uid = uids[slice - 1];
    if (!keySlices.delete(uid)) keySlices.add(uid);
    mark();
    changed();
  }

  function toggle(spot) {
    spot.setAttribute("aria-checked", String(spot.getAttribute("aria-checked") !== "true"));
    changed();
  }

  const at = (event) => {
    const frame = boxes.getBoundingClientRect();
    const inside = (share, most) => Math.round(Math.min(Math.max(share, 0), 1) * most);
    return [inside((event.clientX - frame.left) / frame.width, Number(page.dataset.columns)), inside((event.clientY - frame.top) / frame.height, Number(page.dataset.rows))];
  };
  boxes.addEventListener("pointerdown", (event) => {
    const finding = box.value;
    if (!finding) return;
    const from = at(event);
    boxes.setPointerCapture(event.pointerId);
    const move = (moved) => drawBoxes([from, at(moved)]);
    boxes.addEventListener("pointermove", move);
    boxes.addEventListener("pointerup", (up) => {
      boxes.removeEventListener("pointermove", move);
      const to = at(up);
      if (Math.abs(to[0] - from[0]) > 2 && Math.abs(to[1] - from[1]) > 2) {
        rois.push({ kind: "bbox", finding, sop_uid: uids[slice - 1], points: [from, to], mask: "" });
        changed();
      }
      drawBoxes();
    }, { once: true });
  });
  page.querySelector("[data-unbox]").addEventListener("click", () => {
    const gone = rois.filter((each) => each.sop_uid === uids[slice - 1]);
    rois = rois.filter((each) => !gone.includes(each));
    ohif?.unbox(gone);
    drawBoxes();
    changed();
  });

  picture.parentElement.addEventListener("wheel", (event) => { event.preventDefault(); show(slice + Math.sign(event.deltaY)); }, { passive: false });
  slider.addEventListener("input", () => show(Number(slider.value)));
  const windows = [...page.querySelectorAll("[data-window]")];
  function through(button) {
    look = button.dataset.window;
    windows.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
    if (scene() === "simple") show(slice || 1);
    else ohif.look(...look.split(",").map(Number));
  }
  const nextWindow = () => through(windows[(windows.findIndex((each) => each.dataset.window === look) + 1) % windows.length]);
  windows.forEach((button) => button.addEventListener("click", () => through(button)));
  page.querySelectorAll("[data-enter]").forEach((button) => button.addEventListener("click", () => { localStorage.setItem(remembered, button.dataset.enter); enter(button.dataset.enter); }));
  box.addEventListener("change", () => ohif?.rectangle());
  page.querySelectorAll("[data-end]").forEach((button) => button.addEventListener("click", () => end(button.closest("[data-extent]").dataset.extent, button.dataset.end)));
  page.querySelector("[data-key-slice]").addEventListener("click", keySlice);
  page.querySelectorAll("[data-go]").forEach((button) => button.addEventListener("click", () => show(Number(button.dataset.go))));
  // an adjudicator goes on from what one reader said
  page.querySelectorAll("[data-take]").forEach((button) => button.addEventListener("click", async () => {
    clearTimeout(pending);
    pending = null;
    const kept = await fetch(`${api}/draft`, { method: "PUT", headers, body: button.dataset.take }).catch(() => null);
    if (kept?.ok) window.location.reload();
    else status.textContent = page.dataset.lost;
  }));
  page.querySelector("[data-normal]").addEventListener("click", normal);
  page.querySelectorAll("[data-aspects]").forEach((spot) => {
    spot.addEventListener("click", () => toggle(spot));
    spot.addEventListener("keydown", (event) => { if (event.key === " ") { event.preventDefault(); toggle(spot); } });
  });
  form.addEventListener("change", (event) => {
    if (ROWS.includes(event.target.name)) { chosen = ROWS.indexOf(event.target.name); answer(event.target.name, event.target.value); }
    else changed();
  });
  form.addEventListener("input", (event) => { if (event.target.matches("textarea, [type=number]")) changed(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); handIn(); });
  // of this page, and of OHIF's, which has keys of its own: those of the form come first
  function press(event) {
    if (event.ctrlKey && event.key === "Enter") { event.preventDefault(); handIn(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("textarea, select, [type=number], [type=text]")) return;
    const name = ROWS[chosen];
    const keys = {
      ArrowUp: () => show(slice + 1), ArrowDown: () => show(slice - 1), n: normal, k: keySlice,
      p: () => answer(name, "present"), a: () => answer(name, "absent"), u: () => answer(name, "uncertain"),
      f: () => end(findingOf(name), "first"), l: () => end(findingOf(name), "last"), w: nextWindow, ...(scene() === "simple" ? brush.keys : {}),
    };
    const act = /^[1-7]$/.test(event.key) ? () => { chosen = Number(event.key) - 1; drawExtents(); } : keys[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    act();
  }
  document.addEventListener("keydown", press);

  // what was entered a moment ago goes out with the page
  window.addEventListener("pagehide", () => {
    if (pending === null) return;
    clearTimeout(pending);
    fetch(`${api}/draft`, { method: "PUT", headers, body: JSON.stringify(collect()), keepalive: true });
  });

  fill(JSON.parse(page.dataset.entered));
  drawExtents();
  const roomy = window.matchMedia("(min-width: 60rem)").matches;
  if (ohif) enter(localStorage.getItem(remembered) || (roomy ? "ohif" : "simple"));
  else show(slice);
})();
