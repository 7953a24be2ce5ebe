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
