const experiment = () => EXPERIMENTS[state.experiment];
const run = () => experiment().runs[state.run];
const cell = () => run().cells[state.cell];
const label = (metric) => experiment().labels?.[metric] || metric;

// Rows of a run by cell, made when the run is first looked at.
function rowsOf(place) {
  const here = run();
  if (!here.rows) {
    const { cell: cells, prompt, sample, failed } = here.completions;
    here.rows = here.cells.map(() => []);
    here.found = new Map();
    here.reasons = new Map(failed);
    cells.forEach((number, row) => {
      here.rows[number].push(row);
      here.found.set(`${number} ${prompt[row]} ${sample[row]}`, row);
    });
  }
  return here.rows[place];
}

function besideRow(row) {
  const { prompt, sample } = run().completions;
  const beside = cell().unsteered;
  return beside === undefined
    ? undefined
    : run().found.get(`${beside} ${prompt[row]} ${sample[row]}`);
}

// The estimates of one metric and group, by cell.
function estimates(metric, group) {
  const { summary, metrics, groups } = run();
  const m = metrics.indexOf(metric);
  const found = new Map();
  let g = groups.indexOf(group);
  if (!summary.metric.some((own, row) => own === m && summary.group[row] === g)) g = -1;
  summary.metric.forEach((own, row) => {
    if (own !== m || (g >= 0 && summary.group[row] !== g) || found.has(summary.cell[row])) return;
    const values = {};
    for (const [name, column] of Object.entries(summary))
      if (name !== "failed") values[name] = column[row];
    values.failed = new Map(summary.failed).get(row);
    found.set(summary.cell[row], values);
  });
  return found;
}

function shownValue(values) {
  if (!values) return [null, null, null];
  return state.show === "mean"
    ? [values.mean, values.low, values.high]
    : [values.difference, values.difference_low, values.difference_high];
}

// Why a cell has no number: it failed as a whole, or one scorer failed on it.
const failure = (place, found) => run().cells[place].failed || found?.get(place)?.failed;

function interval(low, high, signed = false) {
  return low === null || high === null ? "" : `[${number(low, signed)}, ${number(high, signed)}]`;
}

function conditionName(own) {
  if (own.method === "unsteered") return "none (unsteered)";
  return own.vector ? `${own.vector} (${own.condition})` : `none (${own.condition})`;
}

function facetValue(own, facet) {
  const value = own[facet];
  return value === undefined ? NONE : value;
}

function facetText(facet, value, own) {
  if (facet === "condition") return conditionName(own);
  if (value === NONE) return own.parts ? "several" : "–";
  if (facet === "dimensions") return `${number(100 * value)} %`;
  return typeof value === "number" ? number(value) : String(value);
}

function cellName(own) {
  if (own.method === "unsteered") return "unsteered";
  const varying = FACETS.slice(1).filter(
    ([facet]) => own[facet] !== undefined && (ALWAYS.has(facet) || varies(facet)),
  );
  const parts = varying.map(([facet, text]) =>
    facet === "coefficient"
      ? `c = ${number(own.coefficient)}`
      : `${text.toLowerCase()} ${facetText(facet, own[facet], own)}`,
  );
  return [own.condition, ...parts].join(", ");
}

const varies = (facet) =>
  unique(
    run()
      .cells.filter((own) => own.condition === cell().condition)
      .map((own) => facetValue(own, facet)),
  ).length > 1;
