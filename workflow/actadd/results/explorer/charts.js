function drawChartSettings() {
  fillState("chart-settings", "show", "Show", [
    ["mean", "mean"],
    ["difference", "difference from unsteered"],
  ]);
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
  const scale = colourScale();
  const known = values.flat().filter((value) => value !== null);
  const bound = Math.max(...known.map(Math.abs));
  const extent =
    state.show === "mean"
      ? { zmin: Math.min(...known), zmax: Math.max(...known) }
      : { zmin: -bound, zmax: bound };
  const trace = {
    type: "heatmap",
    z: values,
    x: coefficients.map((value) => number(value)),
    y: layers.map(String),
    customdata: grid.map((row) => row.map((cellId) => cellId ?? null)),
    hovertext: grid.map((row) =>
      row.map((cellId) =>
        cellId === undefined
          ? ""
          : byCell.has(cellId) || failure(cellId, byCell)
            ? hover(cellId, byCell)
            : "",
      ),
    ),
    hovertemplate: "%{hovertext}<extra></extra>",
    hoverongaps: true,
    colorscale: scale,
    ...extent,
    xgap: 2,
    ygap: 2,
    colorbar: { thickness: 10, outlinewidth: 0, tickfont: { size: 11 } },
  };
  const [x, y] = [coefficients.indexOf(cell().coefficient), layers.indexOf(cell().layer)];
  // Numbers are annotations, since their colours have to stand out from the cell's.
  const annotations = grid.flatMap((row, r) =>
    row.flatMap((cellId, c) => {
      if (cellId === undefined) return [];
      const share = (values[r][c] - extent.zmin) / (extent.zmax - extent.zmin || 1);
      const failed = failure(cellId, byCell);
      const star = run().cells[cellId].chosen ? " ★" : "";
      const text = score(state.metric, values[r][c], state.show === "difference") + star;
      return [
        {
          x: c,
          y: r,
          text: failed ? "failed" : numbers && values[r][c] !== null ? text : star,
          showarrow: false,
          font: { color: failed ? css("--warn") : inkOn(colourAt(scale, share)), size: 12 },
        },
      ];
    }),
  );
  const chosen = cellIds.some((cellId) => run().cells[cellId].chosen)
    ? " ★: the chosen setting."
    : "";
  const caption = `${displayName()} by layer and coefficient. Choose a cell to read its completions.${chosen}`;
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
      annotations,
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
  if (!byId("charts").open) return;
  const byCell = estimates(state.metric, state.group);
  drawChartSettings();
  drawNumbers(byCell);
  if (typeof Plotly === "undefined") {
    if (document.readyState !== "loading") loadPlotly().then(drawCharts);
    return;
  }
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
  const cells = run()
    .cells.map((_, cellId) => cellId)
    .filter((cellId) => byCell.has(cellId) || failure(cellId, byCell));
  const rows = cells.map((cellId) => {
    const values = byCell.get(cellId);
    const reason = failure(cellId, byCell);
    const name = cellName(run().cells[cellId]);
    if (reason) return [name, `failed: ${reason}`, "", "", "", "", "", ""];
    return [
      name,
      score(state.metric, values.mean),
      interval(state.metric, values.low, values.high),
      score(state.metric, values.difference, true),
      interval(state.metric, values.difference_low, values.difference_high, true),
      probability(values.p_value),
      number(values.n_prompts),
      number(values.n_completions),
    ];
  });
  fillTable("numbers", label(state.metric), head, rows, cells.indexOf(state.cell));
}
