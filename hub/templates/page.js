// Small helps for pages that work without it: parts that load themselves again, and copying.
"use strict";

// Elements with `data-live` and an id are fetched again every two seconds and swapped when they
// changed. What has the focus stays as it is, so that nobody loses what they type.
const live = document.querySelectorAll("[data-live]").length > 0;

async function refresh() {
  if (document.hidden) { return; }
  const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Burin-Poll": "1" } });
  if (answer.redirected) { location.reload(); return; }
  if (!answer.ok) { return; }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(old.id);
    if (!fresh || fresh.innerHTML === old.innerHTML) { continue; }
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    if (focused && focused.matches("input, select, textarea, button, summary")) { continue; }
    if (old.querySelector("details[open]")) { continue; }
    const link = focused && focused.getAttribute("href");
    old.innerHTML = fresh.innerHTML;
    if (link) { old.querySelector(`[href="${CSS.escape(link)}"]`)?.focus(); }
  }
}

function again() { refresh().catch(() => {}).finally(() => setTimeout(again, 2000)); }
if (live) { setTimeout(again, 2000); }

// `data-copy` names the element whose text a button copies.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

// Filters apply when they change, without a button.
for (const field of document.querySelectorAll("[data-submit]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}

// On a narrow screen the navigation scrolls: show where one is.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
