// The worklist by keyboard, and a word in the title when a study is flagged and not yet read.
"use strict";
(() => {
  const title = document.title;
  let chosen = -1;
  const rows = () => [...document.querySelectorAll("table.list tbody tr")];

  function choose(step) {
    const all = rows();
    if (!all.length) return;
    chosen = Math.min(Math.max(chosen + step, 0), all.length - 1);
    all.forEach((row, index) => row.classList.toggle("chosen", index === chosen));
    all[chosen].scrollIntoView({ block: "nearest" });
  }

  function count() {
    const table = document.querySelector("table.list");
    const unread = table ? Number(table.dataset.unread) : 0;
    document.title = unread ? `(${unread}) ${title}` : title;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    if (event.key === "j") choose(1);
    else if (event.key === "k") choose(-1);
    else if (event.key === "Enter" && chosen >= 0) rows()[chosen].querySelector("a").click();
    else if (event.key === "/") { event.preventDefault(); document.getElementById("search").focus(); }
    else if (/^[0-9]$/.test(event.key)) document.querySelector(`.filters [data-key="${event.key}"]`)?.click();
  });
  document.addEventListener("htmx:afterSwap", () => { choose(0); count(); });
  count();
})();
