const experiment = () => EXPERIMENTS[state.experiment];
const run = () => experiment().runs[state.run];
const cell = () => run().cells[state.cell];
const label = (metric) => experiment().labels?.[metric] || metric;
const isRead = () => experiment().measure === "logprobs";
const isMeasured = () => Boolean(experiment().measure) && experiment().measure !== "completions";

// The estimates of one metric and group, by cell.
function estimates(metric, group) {
  const { summary, metrics, groups } = run();
  const m = metrics.indexOf(metric);
  const byCell = new Map();
  const reasons = new Map(summary.failed);
  let g = groups.indexOf(group);
  if (!summary.metric.some((value, row) => value === m && summary.group[row] === g)) g = -1;
  summary.metric.forEach((value, row) => {
    if (value !== m || (g >= 0 && summary.group[row] !== g) || byCell.has(summary.cell[row]))
      return;
    const values = {};
    for (const [name, column] of Object.entries(summary))
      if (name !== "failed") values[name] = column[row];
    values.failed = reasons.get(row);
    byCell.set(summary.cell[row], values);
  });
  return byCell;
}

function displayValue(values) {
  if (!values) return [null, null, null];
  return state.show === "mean"
    ? [values.mean, values.low, values.high]
    : [values.difference, values.difference_low, values.difference_high];
}

// Why a cell has no number: the cell failed, or a scorer failed on it.
const failure = (cellId, byCell) => run().cells[cellId].failed || byCell?.get(cellId)?.failed;

function conditionName(entry) {
  if (entry.method === "unsteered") return "none (unsteered)";
  return entry.vector ? `${entry.vector} (${entry.condition})` : `none (${entry.condition})`;
}

function facetValue(entry, facet) {
  const value = entry[facet];
  return value === undefined ? NONE : value;
}

function facetText(facet, value, entry) {
  if (facet === "condition") return conditionName(entry);
  if (value === NONE) return entry.parts ? "several" : "–";
  if (facet === "dimensions") return `${number(100 * value)} %`;
  return typeof value === "number" ? number(value) : String(value);
}

function cellName(entry) {
  if (entry.method === "unsteered") return "unsteered";
  const varying = FACETS.slice(1).filter(
    ([facet]) => entry[facet] !== undefined && (ALWAYS.has(facet) || varies(facet)),
  );
  const parts = varying.map(([facet, text]) =>
    facet === "coefficient"
      ? entry.strength || `c = ${number(entry.coefficient)}`
      : `${text.toLowerCase()} ${facetText(facet, entry[facet], entry)}`,
  );
  return [entry.condition, ...parts].join(", ");
}

const varies = (facet) =>
  unique(
    run()
      .cells.filter((entry) => entry.condition === cell().condition)
      .map((entry) => facetValue(entry, facet)),
  ).length > 1;
