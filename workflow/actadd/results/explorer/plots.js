// From low to high contrast, so that deeper layers are darker on white and brighter on black.
function layerColour(share) {
  const stops = isDark()
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
  const position = share * (stops.length - 1);
  const low = Math.min(Math.floor(position), stops.length - 2);
  const mixed = stops[low].map((value, channel) =>
    Math.round(value + (position - low) * (stops[low + 1][channel] - value)),
  );
  return `rgb(${mixed.join(",")})`;
}

// Colours of a heatmap, for means or for differences.
function colourScale() {
  const [low, middle, high] =
    state.show === "mean"
      ? isDark()
        ? ["#20262c", "#2f7f78", "#d9f5d6"]
        : ["#f4f1e6", "#5aa9a0", "#0b3c4c"]
      : isDark()
        ? ["#e8956b", "#22262c", "#63c3d8"]
        : ["#a8481a", "#f7f5ef", "#12647d"];
  return [
    [0, low],
    [0.5, middle],
    [1, high],
  ];
}

// The colour of a scale at a share, red, green and blue from 0 to 255.
function colourAt(scale, share) {
  const channels = scale.map(([, colour]) =>
    [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)),
  );
  const position = Math.min(1, Math.max(0, share || 0)) * 2;
  const below = Math.min(1, Math.floor(position));
  return channels[below].map(
    (value, channel) => value + (position - below) * (channels[below + 1][channel] - value),
  );
}

// Black or white, whichever has more contrast (by WCAG's relative luminance).
function inkOn(colour) {
  const [r, g, b] = colour.map((value) => {
    const share = value / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return luminance > 0.179 ? "#000000" : "#ffffff";
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

// Plotly interprets some tags in its texts.
const plain = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function hover(cellId, byCell) {
  const entry = run().cells[cellId];
  const reason = failure(cellId, byCell);
  if (reason) return `${plain(cellName(entry))}<br>failed: ${plain(cut(reason, 120))}`;
  const values = byCell.get(cellId);
  const [mean, low, high] = displayValue(values);
  const n = values.n_completions || values.n_prompts;
  return (
    `${plain(cellName(entry))}<br><b>${score(state.metric, mean, state.show === "difference")}</b> ${interval(state.metric, low, high)}` +
    (n ? `<br>n = ${number(n)}` : "")
  );
}

// Cells that differ from the selected one only in layer and coefficient.
function sweep() {
  return run()
    .cells.map((_, cellId) => cellId)
    .filter((cellId) =>
      FACETS.every(
        ([facet]) =>
          facet === "layer" ||
          facet === "coefficient" ||
          facetValue(run().cells[cellId], facet) === facetValue(cell(), facet),
      ),
    );
}

const displayName = () =>
  state.show === "mean" ? label(state.metric) : `${label(state.metric)}: difference`;

function show(id, caption, described, traces, shape, pick) {
  const figure = byId(id);
  const plot = figure.querySelector(".plot");
  figure.querySelector("figcaption").textContent = caption;
  plot.setAttribute("aria-label", described);
  Plotly.react(plot, traces, shape, { displayModeBar: false, responsive: true }).then(() => {
    // A chart keeps its width, but that of its container may have changed.
    Plotly.Plots.resize(plot);
    plot.removeAllListeners("plotly_click");
    plot.on("plotly_click", (event) => {
      const cellId = pick(event.points[0]);
      if (cellId === undefined || cellId === null) return;
      state.cell = cellId;
      state.limit = PAGE;
      draw();
    });
  });
}

function unsteeredLevel(byCell) {
  const cellId = cell().method === "unsteered" ? state.cell : cell().unsteered;
  if (state.show === "difference") return [0, null, null];
  return cellId === undefined ? [null, null, null] : displayValue(byCell.get(cellId));
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

function lineTrace(cellIds, x, byCell, name, colour, strong) {
  const values = cellIds.map((cellId) => displayValue(byCell.get(cellId)));
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
      size: cellIds.map((cellId) => (cellId === state.cell ? 13 : strong ? 8 : 6)),
      line: { color: css("--card"), width: 1 },
    },
    opacity: strong ? 1 : 0.75,
    customdata: cellIds,
    text: cellIds.map((cellId, index) => (values[index][0] === null ? "" : hover(cellId, byCell))),
    hovertemplate: "%{text}<extra></extra>",
  };
}

function failedTrace(cellIds, x, y, byCell) {
  return {
    type: "scatter",
    mode: "markers",
    name: "failed",
    x,
    y,
    marker: { symbol: "x", size: 11, color: css("--warn") },
    customdata: cellIds,
    text: cellIds.map((cellId) => hover(cellId, byCell)),
    hovertemplate: "%{text}<extra></extra>",
    showlegend: cellIds.length > 0,
  };
}
