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

function drawDose(cellIds, byCell) {
  const cells = run().cells;
  const layers = unique(cellIds.map((cellId) => cells[cellId].layer)).sort(ascending);
  const coefficients = unique(cellIds.map((cellId) => cells[cellId].coefficient));
  const along = coefficients.length > 1 ? "coefficient" : "layer";
  const lines = along === "coefficient" ? layers : [undefined];
  const sorted = [...cellIds].sort((a, b) => cells[a][along] - cells[b][along]);
  const spread =
    Math.max(...cellIds.map((cellId) => cells[cellId][along])) -
    Math.min(...cellIds.map((cellId) => cells[cellId][along]));
  const traces = lines.map((layer, index) => {
    const points = sorted.filter((cellId) => layer === undefined || cells[cellId].layer === layer);
    const strong = layer === undefined || layer === cell().layer;
    const colour =
      layer === undefined
        ? css("--accent")
        : layerColour(lines.length > 1 ? index / (lines.length - 1) : 0.5);
    // A small offset between lines keeps their intervals apart.
    const offset =
      lines.length > 1
        ? (index / (lines.length - 1) - 0.5) * Math.min(0.05, 0.008 * lines.length) * spread
        : 0;
    return lineTrace(
      points,
      points.map((cellId) => cells[cellId][along] + offset),
      byCell,
      layer === undefined ? "" : `layer ${layer}`,
      colour,
      strong,
    );
  });
  const level = unsteeredLevel(byCell);
  const failed = cellIds.filter((cellId) => failure(cellId, byCell));
  const lowest = Math.min(
    ...traces.flatMap((trace) => trace.y.filter((value) => value !== null)),
    level[0] ?? Infinity,
  );
  traces.push(
    failedTrace(
      failed,
      failed.map((cellId) => cells[cellId][along]),
      failed.map(() => (Number.isFinite(lowest) ? lowest : 0)),
      byCell,
    ),
  );
  const caption =
    `${displayName()} by ${along}${lines.length > 1 ? ", a line for each layer" : ""}, with 95 % intervals; grey: unsteered.` +
    (failed.length ? ` Crosses: ${plural(failed.length, "cell")} that failed.` : "");
  show(
    "dose",
    caption,
    `Line chart: ${caption} The numbers follow as a table.`,
    traces,
    layout(along, plain(displayName()), {
      shapes: levelShapes(level, "x"),
      showlegend: lines.length > 1,
      margin: { l: 48, r: 12, t: lines.length > 1 ? 36 : 12, b: 44 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12 } },
      xaxis: along === "coefficient" && coefficients.length <= 9 ? { tickvals: coefficients } : {},
    }),
    (point) => point.customdata,
  );
}

function drawGrid(cellIds, byCell) {
  const cells = run().cells;
  const layers = unique(cellIds.map((cellId) => cells[cellId].layer)).sort(ascending);
  const coefficients = unique(cellIds.map((cellId) => cells[cellId].coefficient)).sort(ascending);
  const cellAt = (layer, coefficient) =>
    cellIds.find(
      (cellId) => cells[cellId].layer === layer && cells[cellId].coefficient === coefficient,
    );
  const grid = layers.map((layer) => coefficients.map((coefficient) => cellAt(layer, coefficient)));
  const values = grid.map((row) =>
    row.map((cellId) =>
      cellId === undefined || failure(cellId, byCell) ? null : displayValue(byCell.get(cellId))[0],
    ),
  );
  const numbers = layers.length * coefficients.length <= MAX_GRID_VALUES;
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
    customdata: grid.map((row) => row.map((cellId) => cellId ?? null)),
    text: grid.map((row) =>
      row.map((cellId) =>
        cellId === undefined
          ? ""
          : failure(cellId, byCell)
            ? "failed"
            : numbers
              ? number(displayValue(byCell.get(cellId))[0], state.show === "difference")
              : "",
      ),
    ),
    hovertext: grid.map((row) =>
      row.map((cellId) =>
        cellId === undefined
          ? ""
          : byCell.has(cellId) || failure(cellId, byCell)
            ? hover(cellId, byCell)
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
    .flatMap((row, r) => row.map((cellId, c) => [cellId, r, c]))
    .filter(([cellId]) => cellId !== undefined && failure(cellId, byCell));
  const caption = `${displayName()} by layer and coefficient. Choose a cell to read its completions.`;
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
      // A heatmap has no text where it has no number.
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

// Without a sweep: one row for each cell.
function drawComparison(byCell) {
  const cells = run().cells;
  const cellIds = cells
    .map((_, cellId) => cellId)
    .filter((cellId) => byCell.has(cellId) || failure(cellId, byCell))
    .slice(0, MAX_COMPARED_ROWS);
  const values = cellIds.map((cellId) => displayValue(byCell.get(cellId)));
  const failed = cellIds.filter((cellId) => failure(cellId, byCell));
  // Cells with equal names still need separate rows.
  const names = cellIds.map(
    (cellId) => plain(cut(cellName(cells[cellId]), 44)) + "\u200b".repeat(cellId),
  );
  const known = [...cellIds.keys()].filter(
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
      size: known.map((index) => (cellIds[index] === state.cell ? 14 : 9)),
      line: { color: css("--card"), width: 1 },
    },
    customdata: known.map((index) => cellIds[index]),
    text: known.map((index) => hover(cellIds[index], byCell)),
    hovertemplate: "%{text}<extra></extra>",
  };
  const least = Math.min(...trace.x, 0);
  const crosses = failedTrace(
    failed,
    failed.map(() => least),
    failed.map((cellId) => names[cellIds.indexOf(cellId)]),
    byCell,
  );
  const caption =
    `${displayName()} of every setting, with 95 % intervals.` +
    (failed.length ? ` Crosses: ${plural(failed.length, "cell")} that failed.` : "");
  show(
    "dose",
    caption,
    `Dot plot: ${caption} The numbers follow as a table.`,
    [trace, crosses],
    layout(plain(displayName()), "", {
      shapes: levelShapes(unsteeredLevel(byCell), "y"),
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
  const byCell = estimates(state.metric, state.group);
  byId("charts").hidden = !state.metric;
  if (!state.metric) return;
  drawNumbers(byCell);
  // The library is last in the file, so that texts can be read before it has loaded.
  if (typeof Plotly === "undefined") return;
  const cellIds = sweep().filter((cellId) => run().cells[cellId].coefficient !== undefined);
  const several = ["layer", "coefficient"].filter(
    (facet) => unique(cellIds.map((cellId) => run().cells[cellId][facet])).length > 1,
  );
  // First, since the other chart takes all of the remaining width.
  byId("grid").hidden = several.length < 2;
  if (several.length) drawDose(cellIds, byCell);
  else drawComparison(byCell);
  if (several.length === 2) drawGrid(cellIds, byCell);
}

function drawNumbers(byCell) {
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
  const rows = run().cells.map((entry, cellId) => {
    const values = byCell.get(cellId);
    const reason = failure(cellId, byCell);
    if (!values && !reason) return undefined;
    const columns = reason
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
      { className: cellId === state.cell ? "chosen" : "" },
      element("td", {}, cellName(entry)),
      ...columns.map((text) => element("td", {}, text)),
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
