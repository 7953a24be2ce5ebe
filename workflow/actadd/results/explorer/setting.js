function drawSetting() {
  const own = cell();
  const words = [];
  if (own.method === "unsteered") words.push("No vector is added. ");
  else if (own.parts) {
    const parts = own.parts.map(
      (part) => `${part.vector} at layer ${part.layer}, coefficient ${number(part.coefficient)}`,
    );
    words.push(`${own.condition}: ${parts.join("; ")}. `);
  } else if (own.vector) {
    const from = own.source_layer === undefined ? "" : `, taken from layer ${own.source_layer}`;
    words.push(
      `Vector ${own.vector} added at layer ${number(own.layer)}${from}, coefficient ${number(own.coefficient)}. `,
    );
  } else words.push(`${own.condition} (method ${own.method}). `);
  if (own.prefix)
    words.push(
      "Before each prompt stands ",
      element("span", { className: "prefix" }, `“${own.prefix}”`),
      ". ",
    );
  const drawn = rowsOf(state.cell).filter((row) => !run().reasons.has(row)).length;
  const about = [
    experiment().data && `Data: ${experiment().data}`,
    drawn && plural(drawn, "completion"),
  ];
  words.push(`${about.filter(Boolean).join("; ")}.`);
  const failure = own.failed
    ? [element("p", { className: "notice" }, `This cell failed: ${own.failed}`)]
    : [];
  byId("setting").replaceChildren(...words, ...failure);

  byId("estimates").replaceChildren(
    ...(own.failed ? [] : run().metrics)
      .map((metric) => [metric, estimates(metric, state.group)])
      .filter(([, found]) => found.has(state.cell))
      .slice(0, 8)
      .map(([metric, found]) => {
        const values = found.get(state.cell);
        if (values.failed)
          return element(
            "div",
            {},
            element("dt", {}, label(metric)),
            element("dd", { className: "lost" }, `failed: ${values.failed}`),
          );
        const beside = found.get(own.unsteered);
        const lines = [
          element("span", { className: "value" }, number(values.mean)),
          " ",
          element("span", { className: "interval" }, interval(values.low, values.high)),
        ];
        if (beside)
          lines.push(
            element(
              "div",
              { className: "beside" },
              `unsteered ${number(beside.mean)} ${interval(beside.low, beside.high)}`,
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
