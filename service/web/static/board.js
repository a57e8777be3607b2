// Referrals follow the hub's events: the board fetches its rows anew, one referral says that it has changed.
"use strict";
(() => {
  const rows = document.getElementById("rows");
  const changed = document.getElementById("changed");
  const source = new EventSource("/api/v1/events");
  let due = 0;
  source.addEventListener("referral", (event) => {
    const told = JSON.parse(event.data);
    if (rows) {
      clearTimeout(due);
      due = setTimeout(() => htmx.trigger(rows, "hub:refresh"), 250);
    }
    // what happened before this page was made is on it already; a reload by itself would lose what is typed
    if (changed && told.referral === Number(changed.dataset.referral) && new Date(told.at) > new Date(changed.dataset.at)) {
      changed.hidden = false;
    }
  });
  addEventListener("pagehide", () => source.close());
})();
