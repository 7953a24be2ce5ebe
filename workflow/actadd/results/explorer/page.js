"use strict";

// Texts of models and of configs reach the page as text nodes only, never as markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const EXPERIMENTS = DATA.experiments;
const PAGE = 20;
const MOST_VALUES_IN_A_GRID = 80;
const MOST_ROWS_COMPARED = 40;

// What is chosen within a run, in this order; the first four are always shown.
const FACETS = [
  ["condition", "Vector"],
  ["layer", "Layer"],
  ["coefficient", "Coefficient"],
  ["source_layer", "From layer"],
  ["position", "Position"],
  ["dimensions", "Share of dimensions"],
  ["phase", "Phase"],
  ["temperature", "Temperature"],
  ["top_p", "Top-p"],
  ["frequency_penalty", "Frequency penalty"],
  ["seed", "Seed"],
];
const ALWAYS = new Set(["condition", "layer", "coefficient"]);
const NONE = "none";

const state = { experiment: 0, run: 0, show: "mean", order: "drawn", prompt: "0", find: "", shown: PAGE };

// --- small helpers ----------------------------------------------------------------------------------

const byId = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function number(value, signed = false) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const short = size !== 0 && (size >= 1e6 || size < 1e-4)
    ? value.toExponential(2)
    : String(Number(value.toPrecision(size >= 1000 ? 4 : 3)));
  return (signed && value > 0 ? "+" : "") + short.replace("-", "−");
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const unique = (values) => [...new Set(values)];
const ascending = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : 0);
const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const plural = (count, one) => `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;

// --- data -------------------------------------------------------------------------------------------

const experiment = () => EXPERIMENTS[state.experiment];
const run = () => experiment().runs[state.run];
const cell = () => run().cells[state.cell];
const label = (metric) => (experiment().labels || {})[metric] || metric;

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
  return beside === undefined ? undefined : run().found.get(`${beside} ${prompt[row]} ${sample[row]}`);
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
    for (const [name, column] of Object.entries(summary)) if (name !== "failed") values[name] = column[row];
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
const failure = (place, found) => run().cells[place].failed || (found && found.get(place) || {}).failed;

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
    facet === "coefficient" ? `c = ${number(own.coefficient)}` : `${text.toLowerCase()} ${facetText(facet, own[facet], own)}`,
  );
  return [own.condition, ...parts].join(", ");
}

const varies = (facet) => unique(run().cells.filter((own) => own.condition === cell().condition).map((own) => facetValue(own, facet))).length > 1;

// --- choosing ---------------------------------------------------------------------------------------

// Cells that agree with the choices made in the facets before `until`.
function candidates(until) {
  let left = run().cells.map((_, place) => place);
  for (const [facet] of FACETS) {
    if (facet === until) break;
    left = left.filter((place) => facetValue(run().cells[place], facet) === facetValue(cell(), facet));
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
      const gap = typeof a === "number" && typeof b === "number" ? Math.min(0.9, Math.abs(a - b) / 100) : 1;
      return sum + (0.1 + gap) * (FACETS.length - rank);
    }, 0);
  const fitting = candidates(facet).filter((place) => facetValue(run().cells[place], facet) === value);
  return fitting.reduce((best, place) => (distance(place) < distance(best) ? place : best));
}

// A run opens on its first steered setting that did not fail, of a vector that is no control.
function firstCell() {
  const { cells } = run();
  const controls = new Set(experiment().controls);
  const steered = cells.filter((own) => own.method === "actadd" && !own.failed);
  const first = steered.find((own) => !controls.has(own.vector)) || steered[0];
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

// --- form fields ------------------------------------------------------------------------------------

// Fields are kept and only refilled, so that the focus stays where it is.
const fields = new Map();

function field(form, name, text, { size = "", control = element("select") } = {}) {
  if (!fields.has(name)) {
    control.id = `field-${name}`;
    const made = element("div", { className: `field ${size}` }, element("label", { htmlFor: control.id }, text), control);
    byId(form).append(made);
    fields.set(name, control);
  }
  return fields.get(name);
}

function fill(form, name, text, options, chosen, change, layout) {
  const select = field(form, name, text, layout);
  select.replaceChildren(...options.map(([value, shown]) => element("option", { value: String(value) }, shown)));
  select.value = String(chosen);
  select.disabled = options.length < 2;
  select.onchange = () => {
    change(options[select.selectedIndex][0]);
    draw();
  };
  return select;
}

const reveal = (name, shown) => { fields.get(name).parentElement.hidden = !shown; };

function drawSettings() {
  fill("settings", "experiment", "Experiment", EXPERIMENTS.map((own, place) => [place, own.title]), state.experiment,
    (value) => { state.experiment = value; state.run = 0; openRun(); }, { size: "wide" });
  fill("settings", "model", "Model", experiment().runs.map((own, place) => [place, own.model]), state.run,
    (value) => { state.run = value; openRun(); }, { size: "middle" });
  for (const [facet, text] of FACETS) {
    const values = new Map();
    for (const place of candidates(facet)) {
      const own = run().cells[place];
      if (!values.has(facetValue(own, facet))) values.set(facetValue(own, facet), own);
    }
    const options = [...values].sort(([a], [b]) => ascending(a, b)).map(([value, own]) => [value, facetText(facet, value, own)]);
    fill("settings", facet, text, options, facetValue(cell(), facet),
      (value) => { state.cell = nearest(facet, value); state.shown = PAGE; }, { size: facet === "condition" ? "wide" : "" });
    reveal(facet, ALWAYS.has(facet) || options.length > 1);
  }
}

// --- the setting in words ---------------------------------------------------------------------------

function drawSetting() {
  const own = cell();
  const words = [];
  if (own.method === "unsteered") words.push("No vector is added. ");
  else if (own.parts) {
    const parts = own.parts.map((part) => `${part.vector} at layer ${part.layer}, coefficient ${number(part.coefficient)}`);
    words.push(`${own.condition}: ${parts.join("; ")}. `);
  } else if (own.vector) {
    const from = own.source_layer === undefined ? "" : `, taken from layer ${own.source_layer}`;
    words.push(`Vector ${own.vector} added at layer ${number(own.layer)}${from}, coefficient ${number(own.coefficient)}. `);
  } else words.push(`${own.condition} (method ${own.method}). `);
  if (own.prefix) words.push("Before each prompt stands ", element("span", { className: "prefix" }, `“${own.prefix}”`), ". ");
  const drawn = rowsOf(state.cell).filter((row) => !run().reasons.has(row)).length;
  const about = [experiment().data && `Data: ${experiment().data}`, drawn && plural(drawn, "completion")];
  words.push(`${about.filter(Boolean).join("; ")}.`);
  const failure = own.failed ? [element("p", { className: "notice" }, `This cell failed: ${own.failed}`)] : [];
  byId("setting").replaceChildren(...words, ...failure);

  byId("estimates").replaceChildren(
    ...(own.failed ? [] : run().metrics).map((metric) => [metric, estimates(metric, state.group)])
      .filter(([, found]) => found.has(state.cell))
      .slice(0, 8)
      .map(([metric, found]) => {
        const values = found.get(state.cell);
        if (values.failed) return element("div", {}, element("dt", {}, label(metric)), element("dd", { className: "lost" }, `failed: ${values.failed}`));
        const beside = found.get(own.unsteered);
        const lines = [
          element("span", { className: "value" }, number(values.mean)),
          " ",
          element("span", { className: "interval" }, interval(values.low, values.high)),
        ];
        if (beside) lines.push(element("div", { className: "beside" }, `unsteered ${number(beside.mean)} ${interval(beside.low, beside.high)}`));
        return element("div", {}, element("dt", { title: (experiment().notes || {})[metric.split(".")[0]] || "" }, label(metric)), element("dd", {}, ...lines));
      }),
  );
}

// --- charts -----------------------------------------------------------------------------------------

function drawChartSettings() {
  fill("chart-settings", "metric", "Metric", run().metrics.map((name) => [name, label(name)]), state.metric,
    (value) => { state.metric = value; }, { size: "wide" });
  fill("chart-settings", "group", "Prompts", run().groups.map((name) => [name, name]), state.group,
    (value) => { state.group = value; });
  reveal("group", run().groups.length > 1);
  fill("chart-settings", "show", "Show", [["mean", "mean"], ["difference", "difference from unsteered"]], state.show,
    (value) => { state.show = value; });
}

// From light to strong ink, so that deeper layers are darker on paper and brighter on black.
function layerColour(share) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const stops = dark
    ? [[176, 140, 220], [92, 150, 230], [90, 205, 185], [240, 215, 120]]
    : [[205, 140, 30], [40, 150, 125], [40, 95, 175], [80, 35, 110]];
  const place = share * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  const mixed = stops[low].map((value, channel) => Math.round(value + (place - low) * (stops[low + 1][channel] - value)));
  return `rgb(${mixed.join(",")})`;
}

function layout(x, y, more = {}) {
  const axis = { gridcolor: css("--line"), linecolor: css("--line"), zerolinecolor: css("--line"), tickfont: { size: 12 }, automargin: true, fixedrange: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: css("--sans"), color: css("--ink"), size: 13 },
    margin: { l: 48, r: 12, t: 12, b: 44 },
    hoverlabel: { bgcolor: css("--card"), bordercolor: css("--quiet"), font: { color: css("--ink"), family: css("--sans") }, align: "left" },
    showlegend: false,
    ...more,
    xaxis: { ...axis, title: { text: x, font: { size: 13 } }, ...(more.xaxis || {}) },
    yaxis: { ...axis, title: { text: y, font: { size: 13 } }, ...(more.yaxis || {}) },
  };
}

// Plotly reads some tags in its texts.
const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function hover(place, found) {
  const own = run().cells[place];
  const reason = failure(place, found);
  if (reason) return `${plain(cellName(own))}<br>failed: ${plain(cut(reason, 120))}`;
  const values = found.get(place);
  const [mean, low, high] = shownValue(values);
  const n = values.n_completions || values.n_prompts;
  return `${plain(cellName(own))}<br><b>${number(mean, state.show === "difference")}</b> ${interval(low, high)}` + (n ? `<br>n = ${number(n)}` : "");
}

// Cells that differ from the chosen one in layer and coefficient only.
function sweep() {
  return run().cells.map((_, place) => place).filter((place) =>
    FACETS.every(([facet]) => facet === "layer" || facet === "coefficient" || facetValue(run().cells[place], facet) === facetValue(cell(), facet)));
}

const shownName = () => (state.show === "mean" ? label(state.metric) : `${label(state.metric)}: difference`);

function show(id, caption, described, traces, shape, pick) {
  const figure = byId(id);
  const plot = figure.querySelector(".plot");
  figure.querySelector("figcaption").textContent = caption;
  plot.setAttribute("aria-label", described);
  Plotly.react(plot, traces, shape, { displayModeBar: false, responsive: true }).then(() => {
    // A drawn chart keeps its width, and its place may have got narrower or wider.
    Plotly.Plots.resize(plot);
    plot.removeAllListeners("plotly_click");
    plot.on("plotly_click", (event) => {
      const place = pick(event.points[0]);
      if (place === undefined || place === null) return;
      state.cell = place;
      state.shown = PAGE;
      draw();
    });
  });
}

function unsteeredLevel(found) {
  const place = cell().method === "unsteered" ? state.cell : cell().unsteered;
  if (state.show === "difference") return [0, null, null];
  return place === undefined ? [null, null, null] : shownValue(found.get(place));
}

function levelShapes(level, across) {
  const [mean, low, high] = level;
  if (mean === null || mean === undefined) return [];
  const [along, over] = across === "x" ? ["y", "x"] : ["x", "y"];
  const line = { type: "line", [`${over}ref`]: "paper", [`${over}0`]: 0, [`${over}1`]: 1, [`${along}0`]: mean, [`${along}1`]: mean, line: { color: css("--quiet"), width: 1.5, dash: "dash" } };
  const band = { type: "rect", layer: "below", [`${over}ref`]: "paper", [`${over}0`]: 0, [`${over}1`]: 1, [`${along}0`]: low, [`${along}1`]: high, fillcolor: css("--quiet"), opacity: 0.12, line: { width: 0 } };
  return low === null || high === null ? [line] : [band, line];
}

function lineTrace(places, x, found, name, colour, strong) {
  const values = places.map((place) => shownValue(found.get(place)));
  const bounds = values.map(([mean, low, high]) => (mean === null || low === null || high === null ? [0, 0] : [high - mean, mean - low]));
  return {
    type: "scatter", mode: "lines+markers", name, x,
    y: values.map(([mean]) => mean),
    connectgaps: false,
    error_y: { type: "data", symmetric: false, array: bounds.map(([up]) => up), arrayminus: bounds.map(([, down]) => down), color: colour, thickness: strong ? 1.6 : 0.8, width: 3 },
    line: { color: colour, width: strong ? 3 : 1.4 },
    marker: { color: colour, size: places.map((place) => (place === state.cell ? 13 : strong ? 8 : 6)), line: { color: css("--card"), width: 1 } },
    opacity: strong ? 1 : 0.75,
    customdata: places,
    text: places.map((place, index) => (values[index][0] === null ? "" : hover(place, found))),
    hovertemplate: "%{text}<extra></extra>",
  };
}

function failedTrace(places, x, y, found) {
  return {
    type: "scatter", mode: "markers", name: "failed", x, y,
    marker: { symbol: "x", size: 11, color: css("--warn") },
    customdata: places, text: places.map((place) => hover(place, found)), hovertemplate: "%{text}<extra></extra>", showlegend: places.length > 0,
  };
}

function drawDose(places, found) {
  const cells = run().cells;
  const layers = unique(places.map((place) => cells[place].layer)).sort(ascending);
  const coefficients = unique(places.map((place) => cells[place].coefficient));
  const along = coefficients.length > 1 ? "coefficient" : "layer";
  const lines = along === "coefficient" ? layers : [undefined];
  const sorted = [...places].sort((a, b) => cells[a][along] - cells[b][along]);
  const spread = Math.max(...places.map((place) => cells[place][along])) - Math.min(...places.map((place) => cells[place][along]));
  const traces = lines.map((layer, index) => {
    const own = sorted.filter((place) => layer === undefined || cells[place].layer === layer);
    const strong = layer === undefined || layer === cell().layer;
    const colour = layer === undefined ? css("--accent") : layerColour(lines.length > 1 ? index / (lines.length - 1) : 0.5);
    // Lines stand a little apart, so that their intervals show.
    const apart = lines.length > 1 ? (index / (lines.length - 1) - 0.5) * Math.min(0.05, 0.008 * lines.length) * spread : 0;
    return lineTrace(own, own.map((place) => cells[place][along] + apart), found, layer === undefined ? "" : `layer ${layer}`, colour, strong);
  });
  const level = unsteeredLevel(found);
  const failed = places.filter((place) => failure(place, found));
  const lowest = Math.min(...traces.flatMap((trace) => trace.y.filter((value) => value !== null)), level[0] ?? Infinity);
  traces.push(failedTrace(failed, failed.map((place) => cells[place][along]), failed.map(() => (Number.isFinite(lowest) ? lowest : 0)), found));
  const caption = `${shownName()} by ${along}${lines.length > 1 ? ", a line for each layer" : ""}, with 95 % intervals; grey: unsteered.` + (failed.length ? ` Crosses: ${plural(failed.length, "cell")} that failed.` : "");
  show("dose", caption, `Line chart: ${caption} The numbers follow as a table.`, traces,
    layout(along, plain(shownName()), {
      shapes: levelShapes(level, "x"),
      showlegend: lines.length > 1,
      margin: { l: 48, r: 12, t: lines.length > 1 ? 36 : 12, b: 44 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12 } },
      xaxis: along === "coefficient" && coefficients.length <= 9 ? { tickvals: coefficients } : {},
    }),
    (point) => point.customdata);
}

function drawGrid(places, found) {
  const cells = run().cells;
  const layers = unique(places.map((place) => cells[place].layer)).sort(ascending);
  const coefficients = unique(places.map((place) => cells[place].coefficient)).sort(ascending);
  const at = (layer, coefficient) => places.find((place) => cells[place].layer === layer && cells[place].coefficient === coefficient);
  const grid = layers.map((layer) => coefficients.map((coefficient) => at(layer, coefficient)));
  const values = grid.map((row) => row.map((place) => (place === undefined || failure(place, found) ? null : shownValue(found.get(place))[0])));
  const numbers = layers.length * coefficients.length <= MOST_VALUES_IN_A_GRID;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const sequential = dark ? [[0, "#20262c"], [0.5, "#2f7f78"], [1, "#d9f5d6"]] : [[0, "#f4f1e6"], [0.5, "#5aa9a0"], [1, "#0b3c4c"]];
  const diverging = dark ? [[0, "#e8956b"], [0.5, "#22262c"], [1, "#63c3d8"]] : [[0, "#a8481a"], [0.5, "#f7f5ef"], [1, "#12647d"]];
  const trace = {
    type: "heatmap", z: values, x: coefficients.map((value) => number(value)), y: layers.map(String),
    customdata: grid.map((row) => row.map((place) => place ?? null)),
    text: grid.map((row) => row.map((place) => (place === undefined ? "" : failure(place, found) ? "failed" : numbers ? number(shownValue(found.get(place))[0], state.show === "difference") : ""))),
    hovertext: grid.map((row) => row.map((place) => (place === undefined ? "" : found.has(place) || failure(place, found) ? hover(place, found) : ""))),
    texttemplate: "%{text}", hovertemplate: "%{hovertext}<extra></extra>", hoverongaps: true,
    colorscale: state.show === "mean" ? sequential : diverging, ...(state.show === "mean" ? {} : { zmid: 0 }),
    xgap: 2, ygap: 2, colorbar: { thickness: 10, outlinewidth: 0, tickfont: { size: 11 } },
  };
  const [x, y] = [coefficients.indexOf(cell().coefficient), layers.indexOf(cell().layer)];
  const failed = grid.flatMap((row, r) => row.map((place, c) => [place, r, c])).filter(([place]) => place !== undefined && failure(place, found));
  const caption = `${shownName()} by layer and coefficient. Choose a cell to read its completions.`;
  show("grid", caption, `Heatmap: ${caption} The numbers follow as a table.`, [trace],
    layout("coefficient", "layer", {
      xaxis: { type: "category", showgrid: false }, yaxis: { type: "category", showgrid: false },
      shapes: x < 0 || y < 0 ? [] : [{ type: "rect", x0: x - 0.5, x1: x + 0.5, y0: y - 0.5, y1: y + 0.5, line: { color: css("--ink"), width: 2.5 } }],
      // A heatmap writes nothing where it has no number.
      annotations: failed.map(([, r, c]) => ({ x: c, y: r, text: "failed", showarrow: false, font: { color: css("--warn"), size: 12 } })),
    }),
    (point) => (Array.isArray(point.customdata) ? point.customdata[0] : point.customdata));
}

// Where nothing is swept: every cell under the other.
function drawComparison(found) {
  const cells = run().cells;
  const places = cells.map((_, place) => place).filter((place) => found.has(place) || failure(place, found)).slice(0, MOST_ROWS_COMPARED);
  const values = places.map((place) => shownValue(found.get(place)));
  const failed = places.filter((place) => failure(place, found));
  // Settings of one name are still rows of their own.
  const names = places.map((place) => plain(cut(cellName(cells[place]), 44)) + "\u200b".repeat(place));
  const known = places.map((place, index) => index).filter((index) => values[index][0] !== null && values[index][0] !== undefined);
  const bounds = known.map((index) => values[index]).map(([mean, low, high]) => (low === null || high === null ? [0, 0] : [high - mean, mean - low]));
  const trace = {
    type: "scatter", mode: "markers",
    x: known.map((index) => values[index][0]), y: known.map((index) => names[index]),
    error_x: { type: "data", symmetric: false, array: bounds.map(([up]) => up), arrayminus: bounds.map(([, down]) => down), color: css("--accent"), thickness: 1.6, width: 4 },
    marker: { color: css("--accent"), size: known.map((index) => (places[index] === state.cell ? 14 : 9)), line: { color: css("--card"), width: 1 } },
    customdata: known.map((index) => places[index]), text: known.map((index) => hover(places[index], found)), hovertemplate: "%{text}<extra></extra>",
  };
  const least = Math.min(...trace.x, 0);
  const crosses = failedTrace(failed, failed.map(() => least), failed.map((place) => names[places.indexOf(place)]), found);
  const caption = `${shownName()} of every setting, with 95 % intervals.` + (failed.length ? ` Crosses: ${plural(failed.length, "cell")} that failed.` : "");
  show("dose", caption, `Dot plot: ${caption} The numbers follow as a table.`, [trace, crosses],
    layout(plain(shownName()), "", {
      shapes: levelShapes(unsteeredLevel(found), "y"),
      yaxis: { type: "category", autorange: "reversed", categoryorder: "array", categoryarray: names, tickfont: { size: 12 } },
    }),
    (point) => point.customdata);
}

function drawCharts() {
  const found = estimates(state.metric, state.group);
  byId("charts").hidden = !state.metric;
  if (!state.metric) return;
  drawNumbers(found);
  // The library comes last in the file, so that texts can be read before it is there.
  if (typeof Plotly === "undefined") return;
  const places = sweep().filter((place) => run().cells[place].coefficient !== undefined);
  const several = ["layer", "coefficient"].filter((facet) => unique(places.map((place) => run().cells[place][facet])).length > 1);
  // First, since the other is as wide as it has room.
  byId("grid").hidden = several.length < 2;
  if (several.length) drawDose(places, found);
  else drawComparison(found);
  if (several.length === 2) drawGrid(places, found);
}

function drawNumbers(found) {
  const head = ["Setting", "Mean", "95 % interval", "Difference", "95 % interval", "p", "Prompts", "Completions"];
  const rows = run().cells.map((own, place) => {
    const values = found.get(place);
    const reason = failure(place, found);
    if (!values && !reason) return undefined;
    const shown = reason
      ? [`failed: ${reason}`, "", "", "", "", "", ""]
      : [number(values.mean), interval(values.low, values.high), number(values.difference, true), interval(values.difference_low, values.difference_high, true), number(values.p_value), number(values.n_prompts), number(values.n_completions)];
    return element("tr", { className: place === state.cell ? "chosen" : "" }, element("td", {}, cellName(own)), ...shown.map((text) => element("td", {}, text)));
  });
  byId("numbers").replaceChildren(
    element("caption", { className: "empty" }, label(state.metric)),
    element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, ...rows.filter(Boolean)),
  );
}

// --- completions ------------------------------------------------------------------------------------

const WORD = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu;

function markedText(text, beside) {
  const before = new Set((beside.match(WORD) || []).map((word) => word.toLowerCase()));
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(WORD)) {
    if (before.has(match[0].toLowerCase())) continue;
    parts.push(text.slice(end, match.index), element("mark", {}, match[0]));
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}

function scoresOf(row, beside) {
  const shown = Object.entries(run().scores).map(([metric, values]) => {
    const value = values[row] ?? null;
    const change = beside === undefined || value === null || values[beside] === null ? null : value - values[beside];
    const text = value === null ? "not scored" : number(value);
    return element("li", {}, `${label(metric)} `, element("b", {}, text), change ? ` (${number(change, true)})` : "");
  });
  return shown.length ? [element("ul", { className: "scores", "aria-label": "Scores" }, ...shown)] : [];
}

function side(name, className, row, beside) {
  const title = element("h3", {}, name);
  if (row === undefined) return element("div", { className: `side ${className}` }, title, element("p", { className: "empty" }, "no such completion"));
  const reason = run().reasons.get(row);
  if (reason !== undefined) return element("div", { className: `side ${className}` }, title, element("p", { className: "notice" }, `Failed: ${reason}`));
  const text = run().completions.text[row];
  const other = beside === undefined ? null : run().completions.text[beside];
  // A completion goes on after the prompt, mostly with a space.
  const shown = !text ? [element("span", { className: "empty" }, "nothing: it ended at once")] : other === null ? [text.replace(/^ /, "")] : markedText(text.replace(/^ /, ""), other);
  return element("div", { className: `side ${className}` }, title, element("p", { className: "text", dir: "auto" }, ...shown), ...scoresOf(row, beside));
}

function chosenRows() {
  const { prompt, text } = run().completions;
  const wanted = state.find.trim().toLowerCase();
  let rows = rowsOf(state.cell);
  if (state.prompt !== "all") rows = rows.filter((row) => prompt[row] === Number(state.prompt));
  if (wanted) {
    const holds = (row) => row !== undefined && (text[row] || "").toLowerCase().includes(wanted);
    rows = rows.filter((row) => holds(row) || holds(besideRow(row)));
  }
  const values = run().scores[state.metric];
  if (state.order !== "drawn" && values) {
    const sign = state.order === "rise" ? -1 : 1;
    const change = (row) => {
      const beside = besideRow(row);
      if (values[row] === null || (beside !== undefined && values[beside] === null)) return Infinity;
      return sign * (values[row] - (beside === undefined ? 0 : values[beside]));
    };
    rows = rows.map((row) => [change(row), row]).sort(([a], [b]) => (a === b ? 0 : a - b)).map(([, row]) => row);
  }
  return rows;
}

function drawCompletionSettings() {
  const prompts = run().prompts;
  const mine = new Set(rowsOf(state.cell).map((row) => run().completions.prompt[row]));
  const options = prompts.map((own, place) => [String(place), cut(own.text.trim() || "(empty prompt)", 70)]).filter(([place]) => mine.has(Number(place)));
  if (state.prompt !== "all" && !mine.has(Number(state.prompt))) state.prompt = options.length ? options[0][0] : "all";
  const select = fill("completion-settings", "prompt", "Prompt", [["all", options.length ? `all ${plural(options.length, "prompt")}` : "none"], ...options], state.prompt,
    (value) => { state.prompt = value; state.shown = PAGE; }, { size: "wide" });

  if (!fields.has("find")) {
    const steps = element("div", { className: "steps" });
    for (const [name, text, step] of [["previous", "←", -1], ["next", "→", 1]]) {
      const button = element("button", { type: "button", "aria-label": `${name} prompt` }, text);
      button.onclick = () => {
        const select = fields.get("prompt");
        const next = select.selectedIndex + step;
        if (next < 0 || next >= select.options.length) return;
        select.selectedIndex = next;
        select.onchange();
      };
      fields.set(name, button);
      steps.append(button);
    }
    byId("completion-settings").append(steps);
    const find = field("completion-settings", "find", "Find in completions", { control: element("input", { type: "search", autocomplete: "off" }) });
    let waiting;
    find.oninput = () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { state.find = find.value; state.shown = PAGE; drawPairs(); }, 150);
    };
  }
  if (fields.get("find").value !== state.find) fields.get("find").value = state.find;
  // aria-disabled, since a button that is disabled while it has the focus would lose it.
  for (const [name, end] of [["previous", 0], ["next", options.length]]) fields.get(name).setAttribute("aria-disabled", String(select.selectedIndex === end));
  fill("completion-settings", "order", "Order",
    [["drawn", "by prompt and sample"], ["rise", `largest rise of ${label(state.metric)}`], ["fall", `largest fall of ${label(state.metric)}`]],
    state.metric in run().scores ? state.order : "drawn", (value) => { state.order = value; state.shown = PAGE; }, { size: "wide" });
  fields.get("order").disabled = !(state.metric in run().scores);
}

function drawPairs() {
  const { prompt, sample, draw } = run().completions;
  const rows = chosenRows();
  const unsteered = cell().method === "unsteered";
  const list = [];
  let last;
  for (const row of rows.slice(0, state.shown)) {
    if (prompt[row] !== last) {
      const own = run().prompts[prompt[row]];
      list.push(element("p", { className: "prompt", dir: "auto" }, own.text, ...(own.group ? [element("span", { className: "group" }, own.group)] : [])));
      last = prompt[row];
    }
    // Of several random vectors, which one.
    const name = `sample ${sample[row]}${draw && draw[row] !== null ? `, draw ${draw[row]}` : ""}`;
    const beside = besideRow(row);
    const single = unsteered || cell().unsteered === undefined;
    const sides = single ? [] : [side(`Unsteered, ${name}`, "plain", beside)];
    const steered = unsteered ? "Unsteered" : cell().vector ? "Steered" : cell().condition;
    sides.push(side(`${steered}, ${name}`, unsteered ? "plain" : "steered", row, single || run().reasons.has(beside) ? undefined : beside));
    list.push(element("article", { className: single ? "pair single" : "pair" }, ...sides));
  }
  byId("pairs").replaceChildren(...list);
  const left = rows.length - state.shown;
  byId("more").hidden = left <= 0;
  byId("more").textContent = `Show ${Math.min(left, PAGE)} more (${left.toLocaleString("en")} left)`;
  const measured = experiment().measure && experiment().measure !== "completions";
  byId("count").textContent = measured
    ? "This experiment reads given texts, so there are no completions."
    : cell().failed && !rows.length ? `Failed: ${cell().failed}`
    : `${plural(rows.length, unsteered ? "completion" : "pair")}${rows.length > state.shown ? `, of which ${state.shown} are shown` : ""}.`;
  byId("completion-settings").hidden = Boolean(measured);
  save();
}

// --- state in the address ---------------------------------------------------------------------------

function save() {
  const kept = { experiment: experiment().name, model: run().model };
  for (const [facet] of FACETS) if (cell()[facet] !== undefined) kept[facet] = cell()[facet];
  Object.assign(kept, { metric: state.metric, group: state.group, show: state.show, prompt: state.prompt, order: state.order });
  if (state.find) kept.find = state.find;
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
}

function restore() {
  const kept = new URLSearchParams(location.hash.slice(1));
  const at = (list, name, key) => Math.max(0, list.findIndex((own) => own[name] === kept.get(key)));
  state.experiment = at(EXPERIMENTS, "name", "experiment");
  state.run = at(experiment().runs, "model", "model");
  openRun();
  if (!kept.has("experiment")) return;
  const agrees = (own) => FACETS.every(([facet]) => String(own[facet] ?? "") === (kept.get(facet) ?? ""));
  const place = run().cells.findIndex(agrees);
  if (place >= 0) state.cell = place;
  if (run().metrics.includes(kept.get("metric"))) state.metric = kept.get("metric");
  if (run().groups.includes(kept.get("group"))) state.group = kept.get("group");
  if (kept.get("show") === "difference") state.show = "difference";
  if (["rise", "fall"].includes(kept.get("order"))) state.order = kept.get("order");
  if (kept.get("prompt") === "all" || (kept.has("prompt") && run().prompts[Number(kept.get("prompt"))])) state.prompt = kept.get("prompt");
  state.find = kept.get("find") || "";
}

// --- start ------------------------------------------------------------------------------------------

function draw() {
  drawSettings();
  drawSetting();
  drawChartSettings();
  drawCharts();
  drawCompletionSettings();
  drawPairs();
}

for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("completions").focus();
  byId("completions").scrollIntoView();
});

byId("more").addEventListener("click", () => {
  const first = byId("pairs").querySelectorAll("article").length;
  state.shown += PAGE;
  drawPairs();
  const next = byId("pairs").querySelectorAll("article")[first];
  next.tabIndex = -1;
  next.focus({ preventScroll: true });
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);

restore();
draw();
addEventListener("DOMContentLoaded", drawCharts);
