"use strict";
// Sorts a table by the column whose header was pressed; a second press turns the order round.
document.querySelectorAll("table.sortable").forEach(function (table) {
  var body = table.tBodies[0];
  var heads = table.querySelectorAll("thead th");
  heads.forEach(function (head, column) {
    var button = head.querySelector("button");
    if (!button) return;
    button.disabled = false;
    button.addEventListener("click", function () {
      var numbers = head.classList.contains("n");
      var up = head.getAttribute("aria-sort");
      // Numbers begin with the largest.
      up = up ? up !== "ascending" : !numbers;
      heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      var rows = Array.from(body.rows).map(function (row) {
        var cell = row.cells[column];
        var value = cell.hasAttribute("data-v") ? cell.getAttribute("data-v") : cell.textContent;
        return { row: row, value: numbers ? (value === "" ? null : Number(value)) : value };
      });
      rows.sort(function (a, b) {
        // What has no value comes last, whatever the order.
        if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
        var order = numbers ? a.value - b.value : a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
        return up ? order : -order;
      });
      rows.forEach(function (sorted) { body.appendChild(sorted.row); });
    });
  });
});
