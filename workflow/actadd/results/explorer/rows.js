const scoresIn = (cellId) => partOf(cellId).scores[state.metric];

// How much the score of a row differs from that of the unsteered one; null if that is not known.
function change(row) {
  const value = scoresIn(state.cell)?.[row] ?? null;
  const beside = rowBeside(cell().unsteered, row);
  const before = beside === undefined ? null : (scoresIn(cell().unsteered)?.[beside] ?? null);
  return value === null || before === null ? null : value - before;
}

// 1 if the score should rise, -1 if it should fall: as the choice says, else as it did on average.
function direction() {
  const wanted = experiment().direction?.[state.metric];
  if (wanted) return wanted === "min" ? -1 : 1;
  const values = estimates(state.metric, run().groups[0]).get(state.cell);
  return (values?.difference ?? 0) < 0 ? -1 : 1;
}

const ORDERS = [
  ["drawn", "by prompt and sample"],
  ["worst", "worst-moved prompts first"],
  ["best", "best-moved prompts first"],
  ["rise", "largest rise of the score"],
  ["fall", "largest fall of the score"],
  ["high", "highest score"],
  ["low", "lowest score"],
];
const KEEPS = [
  ["all", "all"],
  ["rose", "the score rose"],
  ["fell", "the score fell"],
  ["same", "the score stayed"],
];

// Rows sorted by a key, those without one last.
function sortedBy(rows, key) {
  const keyed = rows.map((row) => [key(row) ?? Infinity, row]);
  return keyed.sort(([a], [b]) => (a === b ? 0 : a - b)).map(([, row]) => row);
}

// Mean change of each prompt.
function promptChanges(rows) {
  const { prompt } = partOf(state.cell);
  const sums = new Map();
  for (const row of rows) {
    const value = change(row);
    if (value === null) continue;
    const [sum, count] = sums.get(prompt[row]) ?? [0, 0];
    sums.set(prompt[row], [sum + value, count + 1]);
  }
  return new Map([...sums].map(([name, [sum, count]]) => [name, sum / count]));
}

function ordered(rows) {
  const values = scoresIn(state.cell);
  if (!values || state.order === "drawn") return rows;
  const sign = ["rise", "high"].includes(state.order) ? -1 : 1;
  const signed = (value) => (value === null || value === undefined ? undefined : sign * value);
  if (["rise", "fall"].includes(state.order)) return sortedBy(rows, (row) => signed(change(row)));
  if (["high", "low"].includes(state.order)) return sortedBy(rows, (row) => signed(values[row]));
  const { prompt } = partOf(state.cell);
  const changes = promptChanges(rows);
  const towards = direction() * (state.order === "best" ? -1 : 1);
  return sortedBy(rows, (row) => {
    const value = changes.get(prompt[row]);
    // A prompt's samples stay together.
    return value === undefined ? undefined : towards * value + prompt[row] * 1e-12;
  });
}

function chosenRows() {
  const { prompt, text } = partOf(state.cell);
  const query = state.find.trim().toLowerCase();
  let rows = text.map((_, row) => row);
  if (state.prompt !== "all") rows = rows.filter((row) => prompt[row] === Number(state.prompt));
  if (state.group && run().groups.length > 1 && state.group !== "all")
    rows = rows.filter((row) => run().prompts[prompt[row]].group === state.group);
  if (query) {
    const columns = [state.cell, cell().unsteered, besideCell()];
    const holds = (cellId, row) =>
      row !== undefined && (partOf(cellId).text[row] || "").toLowerCase().includes(query);
    rows = rows.filter((row) =>
      columns.some((cellId) => holds(cellId, cellId === state.cell ? row : rowBeside(cellId, row))),
    );
  }
  if (state.keep !== "all") {
    const sign = { rose: 1, fell: -1, same: 0 }[state.keep];
    rows = rows.filter((row) => change(row) !== null && Math.sign(change(row)) === sign);
  }
  return ordered(rows);
}
