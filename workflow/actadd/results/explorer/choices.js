// Cells that agree with the choices made in the facets before `until`.
function candidates(until) {
  let left = run().cells.map((_, place) => place);
  for (const [facet] of FACETS) {
    if (facet === until) break;
    left = left.filter(
      (place) => facetValue(run().cells[place], facet) === facetValue(cell(), facet),
    );
  }
  return left;
}

// The cell that has a new value in one facet and otherwise stays as near as possible.
function nearest(facet, value) {
  const before = cell();
  const distance = (place) =>
    FACETS.reduce((sum, [name], rank) => {
      const [a, b] = [facetValue(run().cells[place], name), facetValue(before, name)];
      if (name === facet || a === b) return sum;
      const gap =
        typeof a === "number" && typeof b === "number" ? Math.min(0.9, Math.abs(a - b) / 100) : 1;
      return sum + (0.1 + gap) * (FACETS.length - rank);
    }, 0);
  const fitting = candidates(facet).filter(
    (place) => facetValue(run().cells[place], facet) === value,
  );
  return fitting.reduce((best, place) => (distance(place) < distance(best) ? place : best));
}

// A run opens on its first steered cell that did not fail, of a vector that is not a control.
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
  state.shown = PAGE;
}
