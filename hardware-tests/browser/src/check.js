// What every page must be: no wider than the screen, every field with a name, one heading.
const faults = [];
const wide = document.documentElement.scrollWidth - window.innerWidth;
if (wide > 0) { faults.push(`the page is ${wide} px wider than the screen`); }
for (const field of document.querySelectorAll("input:not([type=hidden], [hidden]), select, textarea")) {
  if (!field.labels.length && !field.getAttribute("aria-label")) { faults.push(`no label: ${field.outerHTML}`); }
}
for (const button of document.querySelectorAll("button, a[href]")) {
  if (!button.textContent.trim()) { faults.push(`no name: ${button.outerHTML}`); }
}
if (document.querySelectorAll("h1").length !== 1) { faults.push("not one h1"); }
if (document.querySelectorAll("main").length !== 1) { faults.push("not one main"); }
const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
for (const id of ids) { if (ids.indexOf(id) !== ids.lastIndexOf(id)) { faults.push(`two of #${id}`); } }
return faults;
