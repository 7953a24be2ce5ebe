// Cells that agree with the selection in the facets before `until`.
function candidates(until) {
  let cells = run().cells.map((_, cellId) => cellId);
  for (const [facet] of FACETS) {
    if (facet === until) break;
    cells = cells.filter(
      (cellId) => facetValue(run().cells[cellId], facet) === facetValue(cell(), facet),
    );
  }
  return cells;
}

// The cell with a new value in one facet that is closest to the selection in the others.
function nearest(facet, value) {
  const before = cell();
  const distance = (cellId) =>
    FACETS.reduce((sum, [name], rank) => {
      const [a, b] = [facetValue(run().cells[cellId], name), facetValue(before, name)];
      if (name === facet || a === b) return sum;
      const gap =
        typeof a === "number" && typeof b === "number" ? Math.min(0.9, Math.abs(a - b) / 100) : 1;
      return sum + (0.1 + gap) * (FACETS.length - rank);
    }, 0);
  const fitting = candidates(facet).filter(
    (cellId) => facetValue(run().cells[cellId], facet) === value,
  );
  return fitting.reduce((best, cellId) => (distance(cellId) < distance(best) ? cellId : best));
}

// A run opens at its first steered cell that did not fail, of a vector that is not a control.
function firstCell() {
  const { cells } = run();
  const controls = new Set(experiment().controls);
  const steered = cells.filter((cell) => cell.vector !== undefined && !cell.failed);
  const first = steered.find((cell) => !controls.has(cell.vector)) || steered[0];
  return Math.max(cells.indexOf(first), 0);
}

function openRun() {
  const before = state.metric;
  state.cell = firstCell();
  state.metric = run().metrics.includes(before) ? before : run().metrics[0];
  state.group = run().groups[0];
  state.prompt = "0";
  state.find = "";
  state.limit = PAGE;
}
