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

// How far a cell is from the selection in the facets other than `except`.
function distance(cellId, except) {
  const before = cell();
  return FACETS.reduce((sum, [name], rank) => {
    const [a, b] = [facetValue(run().cells[cellId], name), facetValue(before, name)];
    if (name === except || a === b) return sum;
    const gap =
      typeof a === "number" && typeof b === "number" ? Math.min(0.9, Math.abs(a - b) / 100) : 1;
    return sum + (0.1 + gap) * (FACETS.length - rank);
  }, 0);
}

const closest = (cellIds, except) =>
  cellIds.reduce((best, cellId) =>
    distance(cellId, except) < distance(best, except) ? cellId : best,
  );

// The cell with a new value in one facet that is closest to the selection in the others.
function nearest(facet, value) {
  const fitting = candidates(facet).filter(
    (cellId) => facetValue(run().cells[cellId], facet) === value,
  );
  return closest(fitting, facet);
}

// Conditions that can stand in the third column: [name, text].
function besides() {
  const others = run().cells.filter(
    (entry) =>
      entry.method !== "unsteered" &&
      entry.part !== undefined &&
      entry.condition !== cell().condition,
  );
  const texts = new Map(others.map((entry) => [entry.condition, conditionName(entry)]));
  return [...texts];
}

// The third column holds a control if there is one, else a prompt, as long as nobody chose.
function besideName() {
  const names = besides().map(([name]) => name);
  if (state.beside === NONE || names.includes(state.beside)) return state.beside;
  const cells = run().cells.filter((entry) => names.includes(entry.condition));
  const first = cells.find((entry) => entry.control) || cells.find((entry) => entry.prefix);
  return first?.condition ?? NONE;
}

function besideCell() {
  const name = besideName();
  if (name === NONE) return undefined;
  const cells = run().cells.map((_, cellId) => cellId);
  return closest(
    cells.filter((cellId) => run().cells[cellId].condition === name),
    "condition",
  );
}

// A run opens at the cell that the data names, with the metric that its figure shows first.
function openRun() {
  const { metrics, groups, start } = run();
  state.cell = start;
  if (!metrics.includes(state.metric))
    state.metric = metrics.includes(experiment().metric) ? experiment().metric : metrics[0];
  // Texts that a vector is about have its name.
  state.group = groups.includes(cell().vector) ? cell().vector : groups[0];
  Object.assign(state, { prompt: "all", find: "", keep: "all", limit: PAGE });
}
