// Loads this page again every two seconds and swaps its main part, so that nothing jumps or blinks.
"use strict";
async function refresh() {
  if (!document.hidden) {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Burin-Poll": "1" } });
    if (answer.redirected) { location.reload(); return; }
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live");
      const old = document.getElementById("live");
      if (fresh && old && fresh.innerHTML !== old.innerHTML) { old.replaceWith(fresh); }
    }
  }
}
function again() { refresh().catch(() => {}).finally(() => setTimeout(again, 2000)); }
setTimeout(again, 2000);
