// Whether a metric counts, or says yes or no: its single scores are whole numbers.
function isWhole(metric) {
  const part = partOf(state.cell);
  part.whole ??= new Map();
  if (!part.whole.has(metric)) {
    const known = (part.scores[metric] ?? []).filter((value) => value !== null);
    part.whole.set(metric, known.every(Number.isInteger));
  }
  return part.whole.get(metric);
}

function scoreItem(metric, cellId, row, baseline) {
  const values = partOf(cellId).scores[metric];
  const value = values?.[row] ?? null;
  const before =
    baseline === undefined ? null : partOf(cell().unsteered).scores[metric]?.[baseline];
  const difference = value === null || (before ?? null) === null ? 0 : value - before;
  const one = isWhole(metric) ? number : (value, signed) => score(metric, value, signed);
  return element(
    "li",
    {},
    `${label(metric)} `,
    element("b", {}, value === null ? "not scored" : one(value)),
    difference ? ` (${one(difference, true)})` : "",
  );
}

function scoreList(cellId, row, baseline) {
  const all = run().scored;
  const metrics = state.scores === "all" ? all : all.filter((metric) => metric === state.metric);
  if (!metrics.length) return [];
  const items = metrics.map((metric) => scoreItem(metric, cellId, row, baseline));
  return [element("ul", { className: "scores", "aria-label": "Scores" }, ...items)];
}

function sideContent(cellId, row, baseline) {
  if (row === undefined) return [element("p", { className: "empty" }, "no such completion")];
  const { reasons, text } = partOf(cellId);
  if (reasons.has(row))
    return [element("p", { className: "notice" }, `Failed: ${reasons.get(row)}`)];
  // A completion continues the prompt, usually with a space.
  const content = text[row]
    ? markedText(text[row].replace(/^ /, ""))
    : [element("span", { className: "empty" }, "nothing: it ended at once")];
  return [
    element("p", { className: "text", dir: "auto" }, ...content),
    ...scoreList(cellId, row, baseline),
  ];
}

// The columns of the page: [class, name, cell].
function columns() {
  const unsteered = cell().method === "unsteered";
  const list = [];
  if (!unsteered && cell().unsteered !== undefined)
    list.push(["plain", "Unsteered", cell().unsteered]);
  const steered = cell().vector ? `Steered (${cell().condition})` : cell().condition;
  list.push([unsteered ? "plain" : "steered", unsteered ? "Unsteered" : steered, state.cell]);
  const third = besideCell();
  if (third !== undefined) list.push(["beside", besideName(), third]);
  return list;
}

function pair(row) {
  const { sample } = partOf(state.cell);
  const sides = columns().map(([className, name, cellId]) => {
    const here = cellId === state.cell ? row : rowBeside(cellId, row);
    const drawOf = partOf(cellId).draw?.[here] ?? null;
    const draw = drawOf === null ? "" : `, draw ${drawOf}`;
    const unsteered = rowBeside(cell().unsteered, row);
    return element(
      "div",
      { className: `side ${className}` },
      element("h3", {}, `${name}, sample ${sample[row]}${draw}`),
      ...sideContent(cellId, here, className === "plain" ? undefined : unsteered),
    );
  });
  return element("article", { className: `pair of-${sides.length}`, tabIndex: -1 }, ...sides);
}

function promptLine(index) {
  const entry = run().prompts[index];
  const group = entry.group ? [element("span", { className: "group" }, entry.group)] : [];
  return element("p", { className: "prompt", dir: "auto" }, entry.text, ...group);
}

function drawPrompts() {
  const options = run()
    .prompts.map((entry, index) => [
      String(index),
      cut(entry.text.trim() || "(empty prompt)", 70),
      entry.group,
    ])
    .filter(([, , group]) => ["all", undefined, group].includes(state.group) || !group);
  if (!options.some(([index]) => index === state.prompt)) state.prompt = "all";
  const one = isRead() ? "text" : "prompt";
  const all = options.length ? `all ${plural(options.length, one)}` : "none";
  const select = fillState(
    "completion-settings",
    "prompt",
    isRead() ? "Text" : "Prompt",
    [["all", all], ...options.map(([index, text]) => [index, text])],
    { size: "middle", always: true },
  );
  // aria-disabled, since a disabled button would lose the focus.
  if (!fields.has("previous")) drawSteps();
  for (const [name, end] of [
    ["previous", 0],
    ["next", options.length],
  ])
    fields.get(name).setAttribute("aria-disabled", String(select.selectedIndex === end));
}

function step(by) {
  const select = fields.get("prompt");
  const next = select.selectedIndex + by;
  if (next < 0 || next >= select.options.length) return;
  select.selectedIndex = next;
  select.onchange();
}

function drawSteps() {
  const steps = element("div", { className: "steps" });
  for (const [name, text, by] of [
    ["previous", "←", -1],
    ["next", "→", 1],
  ]) {
    const button = element("button", { type: "button", "aria-label": `${name} prompt` }, text);
    button.onclick = () => step(by);
    fields.set(name, button);
    steps.append(button);
  }
  byId("completion-settings").append(steps);
}

function drawFind() {
  const form = "completion-settings";
  if (!fields.has("find")) {
    const control = element("input", { type: "search", autocomplete: "off" });
    const find = field(form, "find", "Find in completions", { control });
    let waiting;
    find.oninput = () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        state.find = find.value;
        state.limit = PAGE;
        drawPairs();
      }, 150);
    };
  }
  const find = fields.get("find");
  find.parentElement.hidden = isRead();
  if (find.value !== state.find) find.value = state.find;
}

function drawCompletionSettings() {
  const form = "completion-settings";
  byId("filters").hidden = isMeasured() && !isRead();
  drawPrompts();
  drawFind();
  const others = besides().map(([name, text]) => [name, text]);
  const third = [[NONE, "nothing"], ...others];
  const choose = (value) => {
    state.beside = value;
  };
  fill(form, "beside", "Compare with", third, besideName(), choose, { size: "middle" });
  const scored = run().scored.includes(state.metric);
  fillState(form, "order", "Order", scored ? ORDERS : ORDERS.slice(0, 1), { size: "middle" });
  fillState(form, "keep", "Only where", scored ? KEEPS : KEEPS.slice(0, 1));
  const all = run().scored.length > 1 ? [["all", "all scores"]] : [];
  fillState(form, "scores", "Below each", [["one", "this score"], ...all]);
  if (!fields.has("copy-markdown")) drawCopyButtons();
  for (const name of ["copy-markdown", "copy-csv"]) fields.get(name).hidden = isMeasured();
}

function countText(rows) {
  if (isRead()) return "";
  if (isMeasured()) return "This experiment keeps no texts, so there are none to read.";
  if (cell().failed && !rows.length) return `Failed: ${cell().failed}`;
  const one = cell().method === "unsteered" ? "completion" : "pair";
  const limited = rows.length > state.limit ? `, of which ${state.limit} are shown` : "";
  return `${plural(rows.length, one)}${limited}.`;
}

function drawPairs() {
  const needed = [state.cell, cell().unsteered, besideCell()].filter((id) => id !== undefined);
  const ready = needed.every(partOf);
  byId("pairs").setAttribute("aria-busy", String(!ready));
  save();
  if (!ready) {
    load(needed).then(drawPairs);
    return;
  }
  drawLegend();
  if (isRead()) {
    drawTexts();
    return;
  }
  const { prompt } = partOf(state.cell);
  const rows = chosenRows();
  const list = [];
  let last;
  for (const row of rows.slice(0, state.limit)) {
    if (prompt[row] !== last) list.push(promptLine(prompt[row]));
    last = prompt[row];
    list.push(pair(row));
  }
  byId("pairs").replaceChildren(...list);
  drawMore(rows.length);
  byId("count").textContent = countText(rows);
}

function drawMore(count) {
  const left = count - state.limit;
  byId("more").hidden = left <= 0;
  byId("more").textContent =
    `Show ${Math.min(left, PAGE)} more (${left.toLocaleString("en")} left)`;
}
