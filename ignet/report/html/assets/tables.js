"use strict";
// Tables sort by a click on a column's head: first down (numbers: up), then the other way. Cells without a number stay last.
ignet.startTables = () => {
  for (const table of document.querySelectorAll("figure.table table")) {
    table.querySelectorAll("th button").forEach((button, place) => button.addEventListener("click", () => ignet.sort(table, place)));
  }
};

ignet.sort = (table, place) => {
  const head = table.tHead.rows[0].cells[place];
  const numeric = head.classList.contains("number");
  const before = head.getAttribute("aria-sort");
  const first = numeric ? "descending" : "ascending";
  const order = before === first ? (numeric ? "ascending" : "descending") : first;
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const key = (row) => {
    const cell = row.cells[place];
    return numeric ? ("value" in cell.dataset ? Number(cell.dataset.value) : null) : cell.textContent;
  };
  const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
};
