// What every page must be: no wider than the screen, every field with a name, one heading, and what a
// screen reader goes by.
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
if (!document.documentElement.lang) { faults.push("no language"); }
if (!/^\S.* · burin hub$/.test(document.title)) { faults.push(`title: ${document.title}`); }
let level = 0;
for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
  const next = Number(heading.tagName[1]);
  if (next > level + 1) { faults.push(`h${next} after h${level}: ${heading.textContent}`); }
  level = next;
}
for (const cell of document.querySelectorAll("th:not([scope])")) { faults.push(`no scope: ${cell.outerHTML}`); }
for (const thing of document.querySelectorAll("[tabindex]")) {
  if (thing.tabIndex > 0) { faults.push(`its own place in the order of Tab: ${thing.outerHTML}`); }
}
for (const picture of document.querySelectorAll("svg, img")) {
  const named = picture.getAttribute("aria-label") || picture.getAttribute("alt");
  if (!named && picture.getAttribute("aria-hidden") !== "true") { faults.push(`no name: ${picture.outerHTML}`); }
}
for (const attribute of ["aria-labelledby", "aria-describedby"]) {
  for (const thing of document.querySelectorAll(`[${attribute}]`)) {
    for (const id of thing.getAttribute(attribute).split(" ")) {
      if (!document.getElementById(id)) { faults.push(`${attribute} of nothing: ${id}`); }
    }
  }
}
for (const section of document.querySelectorAll("section")) {
  const card = section.matches(".narrow") && section.querySelector("h1");
  if (!card && !section.getAttribute("aria-label") && !section.getAttribute("aria-labelledby")) {
    faults.push(`a section without name: ${section.outerHTML.slice(0, 80)}`);
  }
}
// Whatever is said on the spot is said aloud, too.
for (const notice of document.querySelectorAll("main > .notice, .card > .notice")) {
  if (!notice.getAttribute("role")) { faults.push(`a notice that is not said: ${notice.outerHTML}`); }
}
return faults;
