function drawChartSettings() {
  fill(
    "chart-settings",
    "metric",
    "Metric",
    run().metrics.map((name) => [name, label(name)]),
    state.metric,
    (value) => {
      state.metric = value;
    },
    { size: "wide" },
  );
  fill(
    "chart-settings",
    "group",
    "Prompts",
    run().groups.map((name) => [name, name]),
    state.group,
    (value) => {
      state.group = value;
    },
  );
  reveal("group", run().groups.length > 1);
  fill(
    "chart-settings",
    "show",
    "Show",
    [
      ["mean", "mean"],
      ["difference", "difference from unsteered"],
    ],
    state.show,
    (value) => {
      state.show = value;
    },
  );
}

// From light to strong ink, so that deeper layers are darker on paper and brighter on black.
function layerColour(share) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const stops = dark
    ? [
        [176, 140, 220],
        [92, 150, 230],
        [90, 205, 185],
        [240, 215, 120],
      ]
    : [
        [205, 140, 30],
        [40, 150, 125],
        [40, 95, 175],
        [80, 35, 110],
      ];
  const place = share * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  const mixed = stops[low].map((value, channel) =>
    Math.round(value + (place - low) * (stops[low + 1][channel] - value)),
  );
  return `rgb(${mixed.join(",")})`;
}

function layout(x, y, more = {}) {
  const axis = {
    gridcolor: css("--line"),
    linecolor: css("--line"),
    zerolinecolor: css("--line"),
    tickfont: { size: 12 },
    automargin: true,
    fixedrange: true,
  };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: css("--sans"), color: css("--ink"), size: 13 },
    margin: { l: 48, r: 12, t: 12, b: 44 },
    hoverlabel: {
      bgcolor: css("--card"),
      bordercolor: css("--quiet"),
      font: { color: css("--ink"), family: css("--sans") },
      align: "left",
    },
    showlegend: false,
    ...more,
    xaxis: { ...axis, title: { text: x, font: { size: 13 } }, ...(more.xaxis || {}) },
    yaxis: { ...axis, title: { text: y, font: { size: 13 } }, ...(more.yaxis || {}) },
  };
}

// Plotly reads some tags in its texts.
const plain = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function hover(place, found) {
  const own = run().cells[place];
  const reason = failure(place, found);
  if (reason) return `${plain(cellName(own))}<br>failed: ${plain(cut(reason, 120))}`;
  const values = found.get(place);
  const [mean, low, high] = shownValue(values);
  const n = values.n_completions || values.n_prompts;
  return (
    `${plain(cellName(own))}<br><b>${number(mean, state.show === "difference")}</b> ${interval(low, high)}` +
    (n ? `<br>n = ${number(n)}` : "")
  );
}

// Cells that differ from the chosen one in layer and coefficient only.
function sweep() {
  return run()
    .cells.map((_, place) => place)
    .filter((place) =>
      FACETS.every(
        ([facet]) =>
          facet === "layer" ||
          facet === "coefficient" ||
          facetValue(run().cells[place], facet) === facetValue(cell(), facet),
      ),
    );
}

const shownName = () =>
  state.show === "mean" ? label(state.metric) : `${label(state.metric)}: difference`;

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
  const line = {
    type: "line",
    [`${over}ref`]: "paper",
    [`${over}0`]: 0,
    [`${over}1`]: 1,
    [`${along}0`]: mean,
    [`${along}1`]: mean,
    line: { color: css("--quiet"), width: 1.5, dash: "dash" },
  };
  const band = {
    type: "rect",
    layer: "below",
    [`${over}ref`]: "paper",
    [`${over}0`]: 0,
    [`${over}1`]: 1,
    [`${along}0`]: low,
    [`${along}1`]: high,
    fillcolor: css("--quiet"),
    opacity: 0.12,
    line: { width: 0 },
  };
  return low === null || high === null ? [line] : [band, line];
}

function lineTrace(places, x, found, name, colour, strong) {
  const values = places.map((place) => shownValue(found.get(place)));
  const bounds = values.map(([mean, low, high]) =>
    mean === null || low === null || high === null ? [0, 0] : [high - mean, mean - low],
  );
  return {
    type: "scatter",
    mode: "lines+markers",
    name,
    x,
    y: values.map(([mean]) => mean),
    connectgaps: false,
    error_y: {
      type: "data",
      symmetric: false,
      array: bounds.map(([up]) => up),
      arrayminus: bounds.map(([, down]) => down),
      color: colour,
      thickness: strong ? 1.6 : 0.8,
      width: 3,
    },
    line: { color: colour, width: strong ? 3 : 1.4 },
    marker: {
      color: colour,
      size: places.map((place) => (place === state.cell ? 13 : strong ? 8 : 6)),
      line: { color: css("--card"), width: 1 },
    },
    opacity: strong ? 1 : 0.75,
    customdata: places,
    text: places.map((place, index) => (values[index][0] === null ? "" : hover(place, found))),
    hovertemplate: "%{text}<extra></extra>",
  };
}

function failedTrace(places, x, y, found) {
  return {
    type: "scatter",
    mode: "markers",
    name: "failed",
    x,
    y,
    marker: { symbol: "x", size: 11, color: css("--warn") },
    customdata: places,
    text: places.map((place) => hover(place, found)),
    hovertemplate: "%{text}<extra></extra>",
    showlegend: places.length > 0,
  };
}

function drawDose(places, found) {
  const cells = run().cells;
  const layers = unique(places.map((place) => cells[place].layer)).sort(ascending);
  const coefficients = unique(places.map((place) => cells[place].coefficient));
  const along = coefficients.length > 1 ? "coefficient" : "layer";
  const lines = along === "coefficient" ? layers : [undefined];
  const sorted = [...places].sort((a, b) => cells[a][along] - cells[b][along]);
  const spread =
    Math.max(...places.map((place) => cells[place][along])) -
    Math.min(...places.map((place) => cells[place][along]));
  const traces = lines.map((layer, index) => {
    const own = sorted.filter((place) => layer === undefined || cells[place].layer === layer);
    const strong = layer === undefined || layer === cell().layer;
    const colour =
      layer === undefined
        ? css("--accent")
        : layerColour(lines.length > 1 ? index / (lines.length - 1) : 0.5);
    // Lines stand a little apart, so that their intervals show.
    const apart =
      lines.length > 1
        ? (index / (lines.length - 1) - 0.5) * Math.min(0.05, 0.008 * lines.length) * spread
        : 0;
    return lineTrace(
      own,
      own.map((place) => cells[place][along] + apart),
      found,
      layer === undefined ? "" : `layer ${layer}`,
      colour,
      strong,
    );
  });
  const level = unsteeredLevel(found);
  const failed = places.filter((place) => failure(place, found));
  const lowest = Math.min(
    ...traces.flatMap((trace) => trace.y.filter((value) => value !== null)),
    level[0] ?? Infinity,
  );
  traces.push(
    failedTrace(
      failed,
      failed.map((place) => cells[place][along]),
      failed.map(() => (Number.isFinite(lowest) ? lowest : 0)),
      found,
    ),
  );
  const caption =
    `${shownName()} by ${along}${lines.length > 1 ? ", a line for each layer" : ""}, with 95 % intervals; grey: unsteered.` +
    (failed.length ? ` Crosses: ${plural(failed.length, "cell")} that failed.` : "");
  show(
    "dose",
    caption,
    `Line chart: ${caption} The numbers follow as a table.`,
    traces,
    layout(along, plain(shownName()), {
      shapes: levelShapes(level, "x"),
      showlegend: lines.length > 1,
      margin: { l: 48, r: 12, t: lines.length > 1 ? 36 : 12, b: 44 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12 } },
      xaxis: along === "coefficient" && coefficients.length <= 9 ? { tickvals: coefficients } : {},
    }),
    (point) => point.customdata,
  );
}

function drawGrid(places, found) {
  const cells = run().cells;
  const layers = unique(places.map((place) => cells[place].layer)).sort(ascending);
  const coefficients = unique(places.map((place) => cells[place].coefficient)).sort(ascending);
  const at = (layer, coefficient) =>
    places.find(
      (place) => cells[place].layer === layer && cells[place].coefficient === coefficient,
    );
  const grid = layers.map((layer) => coefficients.map((coefficient) => at(layer, coefficient)));
  const values = grid.map((row) =>
    row.map((place) =>
      place === undefined || failure(place, found) ? null : shownValue(found.get(place))[0],
    ),
  );
  const numbers = layers.length * coefficients.length <= MOST_VALUES_IN_A_GRID;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const sequential = dark
    ? [
        [0, "#20262c"],
        [0.5, "#2f7f78"],
        [1, "#d9f5d6"],
      ]
    : [
        [0, "#f4f1e6"],
        [0.5, "#5aa9a0"],
        [1, "#0b3c4c"],
      ];
  const diverging = dark
    ? [
        [0, "#e8956b"],
        [0.5, "#22262c"],
        [1, "#63c3d8"],
      ]
    : [
        [0, "#a8481a"],
        [0.5, "#f7f5ef"],
        [1, "#12647d"],
      ];
  const trace = {
    type: "heatmap",
    z: values,
    x: coefficients.map((value) => number(value)),
    y: layers.map(String),
    customdata: grid.map((row) => row.map((place) => place ?? null)),
    text: grid.map((row) =>
      row.map((place) =>
        place === undefined
          ? ""
          : failure(place, found)
            ? "failed"
            : numbers
              ? number(shownValue(found.get(place))[0], state.show === "difference")
              : "",
      ),
    ),
    hovertext: grid.map((row) =>
      row.map((place) =>
        place === undefined
          ? ""
          : found.has(place) || failure(place, found)
            ? hover(place, found)
            : "",
      ),
    ),
    texttemplate: "%{text}",
    hovertemplate: "%{hovertext}<extra></extra>",
    hoverongaps: true,
    colorscale: state.show === "mean" ? sequential : diverging,
    ...(state.show === "mean" ? {} : { zmid: 0 }),
    xgap: 2,
    ygap: 2,
    colorbar: { thickness: 10, outlinewidth: 0, tickfont: { size: 11 } },
  };
  const [x, y] = [coefficients.indexOf(cell().coefficient), layers.indexOf(cell().layer)];
  const failed = grid
    .flatMap((row, r) => row.map((place, c) => [place, r, c]))
    .filter(([place]) => place !== undefined && failure(place, found));
  const caption = `${shownName()} by layer and coefficient. Choose a cell to read its completions.`;
  show(
    "grid",
    caption,
    `Heatmap: ${caption} The numbers follow as a table.`,
    [trace],
    layout("coefficient", "layer", {
      xaxis: { type: "category", showgrid: false },
      yaxis: { type: "category", showgrid: false },
      shapes:
        x < 0 || y < 0
          ? []
          : [
              {
                type: "rect",
                x0: x - 0.5,
                x1: x + 0.5,
                y0: y - 0.5,
                y1: y + 0.5,
                line: { color: css("--ink"), width: 2.5 },
              },
            ],
      // A heatmap writes nothing where it has no number.
      annotations: failed.map(([, r, c]) => ({
        x: c,
        y: r,
        text: "failed",
        showarrow: false,
        font: { color: css("--warn"), size: 12 },
      })),
    }),
    (point) => (Array.isArray(point.customdata) ? point.customdata[0] : point.customdata),
  );
}

// Where nothing is swept: every cell under the other.
function drawComparison(found) {
  const cells = run().cells;
  const places = cells
    .map((_, place) => place)
    .filter((place) => found.has(place) || failure(place, found))
    .slice(0, MOST_ROWS_COMPARED);
  const values = places.map((place) => shownValue(found.get(place)));
  const failed = places.filter((place) => failure(place, found));
  // Settings of one name are still rows of their own.
  const names = places.map(
    (place) => plain(cut(cellName(cells[place]), 44)) + "\u200b".repeat(place),
  );
  const known = [...places.keys()].filter(
    (index) => values[index][0] !== null && values[index][0] !== undefined,
  );
  const bounds = known
    .map((index) => values[index])
    .map(([mean, low, high]) =>
      low === null || high === null ? [0, 0] : [high - mean, mean - low],
    );
  const trace = {
    type: "scatter",
    mode: "markers",
    x: known.map((index) => values[index][0]),
    y: known.map((index) => names[index]),
    error_x: {
      type: "data",
      symmetric: false,
      array: bounds.map(([up]) => up),
      arrayminus: bounds.map(([, down]) => down),
      color: css("--accent"),
      thickness: 1.6,
      width: 4,
    },
    marker: {
      color: css("--accent"),
      size: known.map((index) => (places[index] === state.cell ? 14 : 9)),
      line: { color: css("--card"), width: 1 },
    },
    customdata: known.map((index) => places[index]),
    text: known.map((index) => hover(places[index], found)),
    hovertemplate: "%{text}<extra></extra>",
  };
  const least = Math.min(...trace.x, 0);
  const crosses = failedTrace(
    failed,
    failed.map(() => least),
    failed.map((place) => names[places.indexOf(place)]),
    found,
  );
  const caption =
    `${shownName()} of every setting, with 95 % intervals.` +
    (failed.length ? ` Crosses: ${plural(failed.length, "cell")} that failed.` : "");
  show(
    "dose",
    caption,
    `Dot plot: ${caption} The numbers follow as a table.`,
    [trace, crosses],
    layout(plain(shownName()), "", {
      shapes: levelShapes(unsteeredLevel(found), "y"),
      yaxis: {
        type: "category",
        autorange: "reversed",
        categoryorder: "array",
        categoryarray: names,
        tickfont: { size: 12 },
      },
    }),
    (point) => point.customdata,
  );
}

function drawCharts() {
  const found = estimates(state.metric, state.group);
  byId("charts").hidden = !state.metric;
  if (!state.metric) return;
  drawNumbers(found);
  // The library comes last in the file, so that texts can be read before it is there.
  if (typeof Plotly === "undefined") return;
  const places = sweep().filter((place) => run().cells[place].coefficient !== undefined);
  const several = ["layer", "coefficient"].filter(
    (facet) => unique(places.map((place) => run().cells[place][facet])).length > 1,
  );
  // First, since the other is as wide as it has room.
  byId("grid").hidden = several.length < 2;
  if (several.length) drawDose(places, found);
  else drawComparison(found);
  if (several.length === 2) drawGrid(places, found);
}

function drawNumbers(found) {
  const head = [
    "Setting",
    "Mean",
    "95 % interval",
    "Difference",
    "95 % interval",
    "p",
    "Prompts",
    "Completions",
  ];
  const rows = run().cells.map((own, place) => {
    const values = found.get(place);
    const reason = failure(place, found);
    if (!values && !reason) return undefined;
    const shown = reason
      ? [`failed: ${reason}`, "", "", "", "", "", ""]
      : [
          number(values.mean),
          interval(values.low, values.high),
          number(values.difference, true),
          interval(values.difference_low, values.difference_high, true),
          number(values.p_value),
          number(values.n_prompts),
          number(values.n_completions),
        ];
    return element(
      "tr",
      { className: place === state.cell ? "chosen" : "" },
      element("td", {}, cellName(own)),
      ...shown.map((text) => element("td", {}, text)),
    );
  });
  byId("numbers").replaceChildren(
    element("caption", { className: "empty" }, label(state.metric)),
    element(
      "thead",
      {},
      element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text))),
    ),
    element("tbody", {}, ...rows.filter(Boolean)),
  );
}
