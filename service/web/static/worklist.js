// The worklist: by keyboard, kept up to date by the hub's events, with a sound and a count in the title.
"use strict";
(() => {
  const POLL_MS = 10000;
  const box = document.getElementById("rows");
  const help = document.getElementById("help");
  const title = document.title;
  const kept = (name, usual) => localStorage.getItem(name) ?? usual;
  const rows = () => [...box.querySelectorAll("table.list tbody tr")];
  const address = (row) => row.querySelector("a").getAttribute("href");
  let chosen = null;

  function mark(scroll) {
    rows().forEach((row) => row.classList.toggle("chosen", address(row) === chosen));
    if (scroll) box.querySelector("tr.chosen")?.scrollIntoView({ block: "nearest" });
  }

  function choose(step) {
    const all = rows();
    if (!all.length) return;
    const now = all.findIndex((row) => address(row) === chosen);
    chosen = address(all[Math.min(Math.max(now + step, 0), all.length - 1)]);
    mark(true);
  }

  // how many wait: in the title, where a tab in the background shows it
  function count() {
    const unread = Number(box.querySelector("table.list")?.dataset.unread ?? 0);
    document.title = unread && kept("hub-badge", "on") === "on" ? `(${unread}) ${title}` : title;
  }

  // two tones; a browser lets a page sound only after a click or a key
  let audio = null;
  function sound() {
    if (kept("hub-sound", "off") !== "on" || !audio) return;
    [880, 660].forEach((pitch, index) => {
      const tone = new OscillatorNode(audio, { frequency: pitch });
      const loud = new GainNode(audio, { gain: 0.2 });
      const start = audio.currentTime + index * 0.22;
      tone.connect(loud).connect(audio.destination);
      loud.gain.setTargetAtTime(0, start + 0.12, 0.03);
      tone.start(start);
      tone.stop(start + 0.3);
    });
    box.dataset.sounded = String(Number(box.dataset.sounded ?? 0) + 1);
  }

  function wake() {
    audio ??= new AudioContext();
    audio.resume();
  }

  function toggles() {
    document.querySelectorAll("[data-toggle]").forEach((button) => {
      const on = kept(`hub-${button.dataset.toggle}`, button.dataset.usual) === "on";
      button.setAttribute("aria-pressed", String(on));
      button.querySelector("use").setAttribute("href", button.dataset[on ? "on" : "off"]);
    });
    count();
  }

  document.querySelectorAll("[data-toggle]").forEach((button) => button.addEventListener("click", () => {
    const name = `hub-${button.dataset.toggle}`;
    localStorage.setItem(name, kept(name, button.dataset.usual) === "on" ? "off" : "on");
    wake();
    toggles();
    if (button.dataset.toggle === "sound") sound();
  }));
  for (const gesture of ["pointerdown", "keydown"]) document.addEventListener(gesture, wake, { once: true });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    if (help.open) return;
    if (event.key === "j") choose(1);
    else if (event.key === "k") choose(-1);
    else if (event.key === "Enter" && chosen && !event.target.matches("a, button")) location.assign(chosen);
    else if (event.key === "/") { event.preventDefault(); document.getElementById("search").focus(); }
    else if (event.key === "?") help.showModal();
    else if (event.key === "s") document.querySelector('[data-toggle="sound"]').click();
    else if (/^[0-9]$/.test(event.key)) document.querySelector(`.filters [data-key="${event.key}"]`)?.click();
  });
  document.getElementById("ask-help").addEventListener("click", () => help.showModal());
  help.querySelector("button").addEventListener("click", () => help.close());

  // events tell when to fetch the rows anew; where there are none, the clock does
  const live = box.hasAttribute("hx-get");
  let known = new Set(rows().map(address));
  let fetched = Date.now();
  let due = 0;
  function refresh() {
    fetched = Date.now();
    htmx.trigger(box, "hub:refresh");
  }
  if (live) {
    const source = new EventSource("/api/v1/events");
    const soon = () => { clearTimeout(due); due = setTimeout(refresh, 250); };
    source.onopen = () => { box.dataset.live = "events"; soon(); };
    source.onerror = () => { box.dataset.live = "clock"; };
    for (const kind of ["study", "review", "alert"]) source.addEventListener(kind, soon);
    source.addEventListener("study", (event) => { if (JSON.parse(event.data).what === "flagged") sound(); });
    setInterval(() => {
      if (box.dataset.live !== "events" || Date.now() - fetched > 6 * POLL_MS) refresh();
    }, POLL_MS);
    addEventListener("pagehide", () => source.close());
  }
  // a row that is replaced between press and release loses the click: new rows wait for the release
  let pressed = false;
  let missed = false;
  addEventListener("pointerdown", () => { pressed = true; }, true);
  for (const over of ["pointerup", "pointercancel", "blur"]) addEventListener(over, () => setTimeout(() => {
    pressed = false;
    if (missed) { missed = false; refresh(); }
  }, 50), true);
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (pressed) { missed = true; event.detail.shouldSwap = false; }
  });
  document.addEventListener("htmx:afterSwap", () => {
    rows().forEach((row) => row.classList.toggle("fresh", !known.has(address(row))));
    known = new Set(rows().map(address));
    mark(false);
    count();
  });
  toggles();
})();
