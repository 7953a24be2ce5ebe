function settingWords() {
  const current = cell();
  const words = [];
  if (current.method === "unsteered") words.push("No vector is added. ");
  else if (current.parts) {
    words.push(`${current.condition}: ${current.parts.join("; ")}. `);
  } else if (current.vector) {
    const from =
      current.source_layer === undefined ? "" : `, taken from layer ${current.source_layer}`;
    words.push(
      `Vector ${current.vector} at layer ${number(current.layer)}${from}, coefficient ${number(current.coefficient)}${current.chosen ? ", the chosen setting" : ""}. `,
    );
  } else words.push(`${current.condition} (method ${current.method}). `);
  if (current.prefix)
    words.push(
      "Each prompt follows the prefix ",
      element("span", { className: "prefix" }, `“${current.prefix}”`),
      ". ",
    );
  const about = [
    run().model,
    experiment().data,
    current.count && plural(current.count, "completion"),
  ];
  words.push(`${about.filter(Boolean).join("; ")}.`);
  return words;
}

// Unsteered, this setting, their difference, and that of the condition beside it.
function estimateItems() {
  const byCell = estimates(state.metric, state.group);
  const values = byCell.get(state.cell);
  if (!values || cell().failed) return [];
  const metric = state.metric;
  if (values.failed) return [[label(metric), `failed: ${values.failed}`, "", "lost"]];
  const mean = ({ mean, low, high }) => [score(metric, mean), interval(metric, low, high)];
  const items = [];
  const baseline = byCell.get(cell().unsteered);
  if (baseline) items.push(["unsteered", ...mean(baseline)]);
  items.push([cell().method === "unsteered" ? "unsteered" : cell().condition, ...mean(values)]);
  const difference = (name, { difference, difference_low, difference_high }) =>
    items.push([
      name,
      score(metric, difference, true),
      interval(metric, difference_low, difference_high, true),
    ]);
  if (values.difference !== null) difference("difference", values);
  const beside = byCell.get(besideCell());
  if (beside && beside.difference !== null) difference(`difference of ${besideName()}`, beside);
  return items;
}

function drawSetting() {
  const failed = cell().failed
    ? [element("p", { className: "notice" }, `This cell failed: ${cell().failed}`)]
    : [];
  byId("setting").replaceChildren(...settingWords(), ...failed);
  byId("estimates").replaceChildren(
    ...estimateItems().map(([name, value, bounds, kind = "value"]) =>
      element(
        "div",
        {},
        element("dt", {}, name),
        element(
          "dd",
          {},
          element("span", { className: kind }, value),
          " ",
          element("span", { className: "interval" }, bounds),
        ),
      ),
    ),
  );
  byId("estimates").setAttribute("aria-label", label(state.metric) ?? "");
  drawAllScores();
}

function drawAllScores() {
  const rows = run().metrics.map((metric) => {
    const byCell = estimates(metric, state.group);
    const values = byCell.get(state.cell);
    if (!values || values.failed || cell().failed) return undefined;
    const baseline = byCell.get(cell().unsteered);
    return [
      label(metric),
      baseline ? score(metric, baseline.mean) : "–",
      score(metric, values.mean),
      interval(metric, values.low, values.high),
      score(metric, values.difference, true),
      interval(metric, values.difference_low, values.difference_high, true),
      experiment().notes?.[metric.split(".")[0]] || "",
    ];
  });
  const known = rows.filter(Boolean);
  byId("scores").hidden = known.length < 2;
  const steered = cell().method === "unsteered" ? "Mean" : cell().condition;
  const head = ["Score", "Unsteered", steered, "95 % interval", "Difference", "95 % interval", ""];
  fillTable("all-scores", "", head, known);
}

function fillTable(id, caption, head, rows, chosen = -1) {
  byId(id).replaceChildren(
    ...(caption ? [element("caption", { className: "empty" }, caption)] : []),
    element(
      "thead",
      {},
      element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text))),
    ),
    element(
      "tbody",
      {},
      ...rows.map((row, index) =>
        element(
          "tr",
          { className: index === chosen ? "chosen" : "" },
          ...row.map((text) => element("td", {}, text)),
        ),
      ),
    ),
  );
}
