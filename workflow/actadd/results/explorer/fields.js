// Fields are created once and then refilled, so that they keep the focus.
const fields = new Map();

function field(form, name, text, { size = "", control = element("select") } = {}) {
  if (!fields.has(name)) {
    control.id = `field-${name}`;
    const container = element(
      "div",
      { className: `field ${size}` },
      element("label", { htmlFor: control.id }, text),
      control,
    );
    byId(form).append(container);
    fields.set(name, control);
  }
  return fields.get(name);
}

// A field with one option is hidden unless it is `always` visible.
function fill(form, name, text, options, chosen, change, { always = false, ...layout } = {}) {
  const select = field(form, name, text, layout);
  select.replaceChildren(
    ...options.map(([value, name]) => element("option", { value: String(value) }, name)),
  );
  select.value = String(chosen);
  select.parentElement.hidden = options.length < 2 && !always;
  select.disabled = options.length < 2;
  select.onchange = () => {
    change(options[select.selectedIndex][0]);
    state.limit = PAGE;
    draw();
  };
  return select;
}

function fillState(form, name, text, options, layout) {
  const change = (value) => {
    state[name] = value;
  };
  return fill(form, name, text, options, state[name], change, layout);
}

function drawSettings() {
  fill(
    "settings",
    "experiment",
    "Experiment",
    EXPERIMENTS.map((entry, index) => [index, entry.title]),
    state.experiment,
    (value) => {
      Object.assign(state, { experiment: value, run: 0, metric: undefined, beside: undefined });
      openRun();
    },
    { size: "wide", always: true },
  );
  fill(
    "settings",
    "model",
    "Model",
    experiment().runs.map((entry, index) => [index, entry.model]),
    state.run,
    (value) => {
      state.run = value;
      openRun();
    },
    { size: "middle" },
  );
  for (const [facet, text] of FACETS) {
    const values = new Map();
    for (const cellId of candidates(facet)) {
      const entry = run().cells[cellId];
      if (!values.has(facetValue(entry, facet))) values.set(facetValue(entry, facet), entry);
    }
    const options = [...values]
      .sort(([a], [b]) => ascending(a, b))
      .map(([value, entry]) => [value, facetText(facet, value, entry)]);
    fill(
      "settings",
      facet,
      text,
      options,
      facetValue(cell(), facet),
      (value) => {
        state.cell = nearest(facet, value);
      },
      { size: facet === "condition" ? "middle" : "" },
    );
  }
  const metrics = run().metrics.map((name) => [name, label(name)]);
  fillState("settings", "metric", "Score", metrics, { size: "middle" });
  const groups = run().groups.map((name) => [name, name === "all" ? "all" : name]);
  fillState("settings", "group", isRead() ? "Texts" : "Prompts", groups);
}
