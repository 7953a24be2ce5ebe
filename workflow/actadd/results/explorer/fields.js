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

function fill(form, name, text, options, chosen, change, layout) {
  const select = field(form, name, text, layout);
  select.replaceChildren(
    ...options.map(([value, name]) => element("option", { value: String(value) }, name)),
  );
  select.value = String(chosen);
  select.disabled = options.length < 2;
  select.onchange = () => {
    change(options[select.selectedIndex][0]);
    draw();
  };
  return select;
}

const reveal = (name, visible) => {
  fields.get(name).parentElement.hidden = !visible;
};

function drawSettings() {
  fill(
    "settings",
    "experiment",
    "Experiment",
    EXPERIMENTS.map((entry, index) => [index, entry.title]),
    state.experiment,
    (value) => {
      state.experiment = value;
      state.run = 0;
      openRun();
    },
    { size: "wide" },
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
        state.limit = PAGE;
      },
      { size: facet === "condition" ? "wide" : "" },
    );
    reveal(facet, ALWAYS.has(facet) || options.length > 1);
  }
}
