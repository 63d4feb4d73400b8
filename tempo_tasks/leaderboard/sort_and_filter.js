// Sorts a board by a column, rows without a value last, and hides what the fields leave out.
"use strict";
const value = (row, at) => Number(row.cells[at].dataset.value);
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = button.closest("table").tBodies[0];
    const rising = head.getAttribute("aria-sort") === "descending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const at = Number(button.dataset.column), sign = rising ? 1 : -1;
    const ordered = [...body.rows].sort((a, b) => sign * (value(a, at) - value(b, at)));
    const has = (row) => value(row, at) >= 0;
    body.append(...ordered.filter(has), ...ordered.filter((row) => !has(row)));
  });
}
const field = (name) => document.getElementById(name);
const filter = () => {
  const text = field("search").value.toLowerCase(), family = field("family").value;
  const attention = field("attention").value, reference = field("reference").checked;
  for (const row of document.querySelectorAll("tbody tr")) {
    const entry = row.dataset.sort === "entry";
    row.hidden = entry
      ? !row.cells[0].textContent.toLowerCase().includes(text)
        || (family !== "" && row.dataset.family !== family)
        || (attention !== "" && row.dataset.attention !== attention)
      : !reference;
  }
};
for (const name of ["search", "family", "attention", "reference"]) field(name).addEventListener("input", filter);
filter();
field("filters").addEventListener("submit", (event) => event.preventDefault());
