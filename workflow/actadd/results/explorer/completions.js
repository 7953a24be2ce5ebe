const WORD = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu;

function markedText(text, baseline) {
  const before = new Set((baseline.match(WORD) || []).map((word) => word.toLowerCase()));
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(WORD)) {
    if (before.has(match[0].toLowerCase())) continue;
    parts.push(text.slice(end, match.index), element("mark", {}, match[0]));
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}

function scoresOf(row, baseline) {
  const items = Object.entries(run().scores).map(([metric, values]) => {
    const value = values[row] ?? null;
    const change =
      baseline === undefined || value === null || values[baseline] === null
        ? null
        : value - values[baseline];
    const text = value === null ? "not scored" : number(value);
    return element(
      "li",
      {},
      `${label(metric)} `,
      element("b", {}, text),
      change ? ` (${number(change, true)})` : "",
    );
  });
  return items.length
    ? [element("ul", { className: "scores", "aria-label": "Scores" }, ...items)]
    : [];
}

function side(name, className, row, baseline) {
  const title = element("h3", {}, name);
  if (row === undefined)
    return element(
      "div",
      { className: `side ${className}` },
      title,
      element("p", { className: "empty" }, "no such completion"),
    );
  const reason = run().reasons.get(row);
  if (reason !== undefined)
    return element(
      "div",
      { className: `side ${className}` },
      title,
      element("p", { className: "notice" }, `Failed: ${reason}`),
    );
  const text = run().completions.text[row];
  const other = baseline === undefined ? null : run().completions.text[baseline];
  // A completion continues the prompt, usually with a space.
  const content = !text
    ? [element("span", { className: "empty" }, "nothing: it ended at once")]
    : other === null
      ? [text.replace(/^ /, "")]
      : markedText(text.replace(/^ /, ""), other);
  return element(
    "div",
    { className: `side ${className}` },
    title,
    element("p", { className: "text", dir: "auto" }, ...content),
    ...scoresOf(row, baseline),
  );
}

function chosenRows() {
  const { prompt, text } = run().completions;
  const query = state.find.trim().toLowerCase();
  let rows = rowsOf(state.cell);
  if (state.prompt !== "all") rows = rows.filter((row) => prompt[row] === Number(state.prompt));
  if (query) {
    const holds = (row) => row !== undefined && (text[row] || "").toLowerCase().includes(query);
    rows = rows.filter((row) => holds(row) || holds(unsteeredRow(row)));
  }
  const values = run().scores[state.metric];
  if (state.order !== "drawn" && values) {
    const sign = state.order === "rise" ? -1 : 1;
    const change = (row) => {
      const baseline = unsteeredRow(row);
      if (values[row] === null || (baseline !== undefined && values[baseline] === null))
        return Infinity;
      return sign * (values[row] - (baseline === undefined ? 0 : values[baseline]));
    };
    rows = rows
      .map((row) => [change(row), row])
      .sort(([a], [b]) => (a === b ? 0 : a - b))
      .map(([, row]) => row);
  }
  return rows;
}

function drawCompletionSettings() {
  const prompts = run().prompts;
  const present = new Set(rowsOf(state.cell).map((row) => run().completions.prompt[row]));
  const options = prompts
    .map((entry, index) => [String(index), cut(entry.text.trim() || "(empty prompt)", 70)])
    .filter(([index]) => present.has(Number(index)));
  if (state.prompt !== "all" && !present.has(Number(state.prompt)))
    state.prompt = options.length ? options[0][0] : "all";
  const select = fill(
    "completion-settings",
    "prompt",
    "Prompt",
    [["all", options.length ? `all ${plural(options.length, "prompt")}` : "none"], ...options],
    state.prompt,
    (value) => {
      state.prompt = value;
      state.limit = PAGE;
    },
    { size: "wide" },
  );

  if (!fields.has("find")) {
    const steps = element("div", { className: "steps" });
    for (const [name, text, step] of [
      ["previous", "←", -1],
      ["next", "→", 1],
    ]) {
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
    const find = field("completion-settings", "find", "Find in completions", {
      control: element("input", { type: "search", autocomplete: "off" }),
    });
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
  if (fields.get("find").value !== state.find) fields.get("find").value = state.find;
  // aria-disabled, since a disabled button would lose the focus.
  for (const [name, end] of [
    ["previous", 0],
    ["next", options.length],
  ])
    fields.get(name).setAttribute("aria-disabled", String(select.selectedIndex === end));
  fill(
    "completion-settings",
    "order",
    "Order",
    [
      ["drawn", "by prompt and sample"],
      ["rise", `largest rise of ${label(state.metric)}`],
      ["fall", `largest fall of ${label(state.metric)}`],
    ],
    state.metric in run().scores ? state.order : "drawn",
    (value) => {
      state.order = value;
      state.limit = PAGE;
    },
    { size: "wide" },
  );
  fields.get("order").disabled = !(state.metric in run().scores);
}

function drawPairs() {
  const { prompt, sample, draw } = run().completions;
  const rows = chosenRows();
  const unsteered = cell().method === "unsteered";
  const list = [];
  let last;
  for (const row of rows.slice(0, state.limit)) {
    if (prompt[row] !== last) {
      const entry = run().prompts[prompt[row]];
      list.push(
        element(
          "p",
          { className: "prompt", dir: "auto" },
          entry.text,
          ...(entry.group ? [element("span", { className: "group" }, entry.group)] : []),
        ),
      );
      last = prompt[row];
    }
    // The draw is the index of a random vector.
    const name = `sample ${sample[row]}${draw && draw[row] !== null ? `, draw ${draw[row]}` : ""}`;
    const baseline = unsteeredRow(row);
    const single = unsteered || cell().unsteered === undefined;
    const sides = single ? [] : [side(`Unsteered, ${name}`, "plain", baseline)];
    const steered = unsteered ? "Unsteered" : cell().vector ? "Steered" : cell().condition;
    sides.push(
      side(
        `${steered}, ${name}`,
        unsteered ? "plain" : "steered",
        row,
        single || run().reasons.has(baseline) ? undefined : baseline,
      ),
    );
    list.push(element("article", { className: single ? "pair single" : "pair" }, ...sides));
  }
  byId("pairs").replaceChildren(...list);
  const left = rows.length - state.limit;
  byId("more").hidden = left <= 0;
  byId("more").textContent =
    `Show ${Math.min(left, PAGE)} more (${left.toLocaleString("en")} left)`;
  const measured = experiment().measure && experiment().measure !== "completions";
  byId("count").textContent = measured
    ? "This experiment reads given texts, so there are no completions."
    : cell().failed && !rows.length
      ? `Failed: ${cell().failed}`
      : `${plural(rows.length, unsteered ? "completion" : "pair")}${rows.length > state.limit ? `, of which ${state.limit} are shown` : ""}.`;
  byId("completion-settings").hidden = Boolean(measured);
  save();
}
