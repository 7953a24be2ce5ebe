function drawSetting() {
  const current = cell();
  const words = [];
  if (current.method === "unsteered") words.push("No vector is added. ");
  else if (current.parts) {
    words.push(`${current.condition}: ${current.parts.join("; ")}. `);
  } else if (current.vector) {
    const from =
      current.source_layer === undefined ? "" : `, taken from layer ${current.source_layer}`;
    words.push(
      `Vector ${current.vector} added at layer ${number(current.layer)}${from}, coefficient ${number(current.coefficient)}. `,
    );
  } else words.push(`${current.condition} (method ${current.method}). `);
  if (current.prefix)
    words.push(
      "Each prompt follows the prefix ",
      element("span", { className: "prefix" }, `“${current.prefix}”`),
      ". ",
    );
  const drawn = rowsOf(state.cell).filter((row) => !run().reasons.has(row)).length;
  const about = [
    experiment().data && `Data: ${experiment().data}`,
    drawn && plural(drawn, "completion"),
  ];
  words.push(`${about.filter(Boolean).join("; ")}.`);
  const failure = current.failed
    ? [element("p", { className: "notice" }, `This cell failed: ${current.failed}`)]
    : [];
  byId("setting").replaceChildren(...words, ...failure);

  byId("estimates").replaceChildren(
    ...(current.failed ? [] : run().metrics)
      .map((metric) => [metric, estimates(metric, state.group)])
      .filter(([, byCell]) => byCell.has(state.cell))
      .slice(0, 8)
      .map(([metric, byCell]) => {
        const values = byCell.get(state.cell);
        if (values.failed)
          return element(
            "div",
            {},
            element("dt", {}, label(metric)),
            element("dd", { className: "lost" }, `failed: ${values.failed}`),
          );
        const baseline = byCell.get(current.unsteered);
        const lines = [
          element("span", { className: "value" }, number(values.mean)),
          " ",
          element("span", { className: "interval" }, interval(values.low, values.high)),
        ];
        if (baseline)
          lines.push(
            element(
              "div",
              { className: "beside" },
              `unsteered ${number(baseline.mean)} ${interval(baseline.low, baseline.high)}`,
            ),
          );
        return element(
          "div",
          {},
          element("dt", { title: experiment().notes?.[metric.split(".")[0]] || "" }, label(metric)),
          element("dd", {}, ...lines),
        );
      }),
  );
}
