// The portal's sender: files and folders go by tus, three at a time; what was begun goes on where it stopped.
"use strict";
(() => {
  const drop = document.getElementById("drop");
  if (!drop) return;
  const words = drop.dataset;
  const box = document.getElementById("sending");
  const bar = box.querySelector("progress");
  const said = box.querySelector("[role=status]");
  const untaken = document.getElementById("untaken");
  const AT_ONCE = 3;
  const PIECE = 8 << 20;
  const waits = [0, 1000, 3000, 10000, 30000, 60000, 60000, 60000, 60000, 60000];
  const queue = [];
  const parts = new Map(); // bytes sent of each file
  let [sending, ended, files, total, since, before] = [0, 0, 0, 0, 0, 0];
  let down = false;

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
  const mb = (bytes) => (bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0);

  function show() {
    const sent = [...parts.values()].reduce((sum, each) => sum + each, 0);
    const rate = (sent - before) / Math.max(1, (performance.now() - since) / 1000);
    const left = rate > 0 ? Math.ceil((total - sent) / rate) : 0;
    const time = left > 90 ? fill(words.minutes, { n: Math.ceil(left / 60) }) : fill(words.seconds, { n: left });
    bar.value = total ? sent / total : 0;
    const counted = fill(words.sent, { sent: ended, all: files, mb: mb(sent), total: mb(total) });
    const over = ended === files;
    said.textContent = over ? `${counted} · ${words.whole}` : down ? `${counted} · ${words.line}` : `${counted}${left ? ` · ${fill(words.left, { time })}` : ""}`;
  }

  function refuse(name, reason) {
    const line = document.createElement("li");
    line.textContent = `${name}: ${fill(words.refused, { reason })}`;
    untaken.append(line);
  }

  function end(key, size) {
    sending -= 1;
    ended += 1;
    parts.set(key, size);
    show();
    next();
  }

  function send({ file, name }) {
    sending += 1;
    const key = Symbol(name);
    const upload = new tus.Upload(file, {
      endpoint: "/api/v1/uploads",
      chunkSize: PIECE,
      retryDelays: waits,
      uploadDataDuringCreation: file.size <= PIECE,
      removeFingerprintOnSuccess: true,
      headers: { "X-CSRF-Token": words.csrf },
      metadata: { filename: name },
      fingerprint: async () => ["hub", name, file.size, file.lastModified].join("/"),
      onProgress: (bytes) => { down = false; parts.set(key, bytes); show(); },
      onSuccess: () => end(key, file.size),
      onShouldRetry: (error) => {
        const status = error.originalResponse ? error.originalResponse.getStatus() : 0;
        down = status === 0 || status >= 500;
        show();
        return down || status === 409 || status === 423;
      },
      onError: (error) => {
        const answer = error.originalResponse;
        let reason = answer ? String(answer.getStatus()) : words.line;
        try { reason = JSON.parse(answer.getBody()).detail; } catch { /* no problem document */ }
        refuse(name, reason);
        end(key, file.size);
      },
    });
    upload.findPreviousUploads().then((earlier) => {
      if (earlier.length) upload.resumeFromPreviousUpload(earlier[0]);
      upload.start();
    });
  }

  function next() {
    while (sending < AT_ONCE && queue.length) send(queue.shift());
  }

  function take(found) {
    if (!found.length) return;
    const whole = found.filter(({ file }) => file.size > 0);
    found.filter(({ file }) => file.size === 0).forEach(({ name }) => refuse(name, "0 bytes"));
    if (ended === files) { since = performance.now(); before = [...parts.values()].reduce((sum, each) => sum + each, 0); }
    box.hidden = false;
    files += whole.length;
    total += whole.reduce((sum, { file }) => sum + file.size, 0);
    queue.push(...whole);
    show();
    next();
  }

  async function walk(entry) {
    if (entry.isFile) return [{ file: await new Promise((yes, no) => entry.file(yes, no)), name: entry.fullPath.slice(1) }];
    const reader = entry.createReader();
    const found = [];
    for (;;) { // a reader hands out a folder in parts
      const some = await new Promise((yes, no) => reader.readEntries(yes, no));
      if (!some.length) return found;
      for (const each of some) found.push(...await walk(each));
    }
  }

  drop.querySelectorAll("input[type=file]").forEach((input) => input.addEventListener("change", () => {
    take([...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
    input.value = "";
  }));
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((each) => each.webkitGetAsEntry()).filter(Boolean);
    for (const entry of entries) take(await walk(entry));
  });
  addEventListener("online", () => { down = false; });
  addEventListener("beforeunload", (event) => { if (ended < files) event.preventDefault(); });
})();
