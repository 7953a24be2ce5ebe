// Fields are kept and only refilled, so that the focus stays where it is.
const fields = new Map();

function field(form, name, text, { size = "", control = element("select") } = {}) {
  if (!fields.has(name)) {
    control.id = `field-${name}`;
    const made = element(
      "div",
      { className: `field ${size}` },
      element("label", { htmlFor: control.id }, text),
      control,
    );
    byId(form).append(made);
    fields.set(name, control);
  }
  return fields.get(name);
}

function fill(form, name, text, options, chosen, change, layout) {
  const select = field(form, name, text, layout);
  select.replaceChildren(
    ...options.map(([value, shown]) => element("option", { value: String(value) }, shown)),
  );
  select.value = String(chosen);
  select.disabled = options.length < 2;
  select.onchange = () => {
    change(options[select.selectedIndex][0]);
    draw();
  };
  return select;
}

const reveal = (name, shown) => {
  fields.get(name).parentElement.hidden = !shown;
};

function drawSettings() {
  fill(
    "settings",
    "experiment",
    "Experiment",
    EXPERIMENTS.map((own, place) => [place, own.title]),
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
    experiment().runs.map((own, place) => [place, own.model]),
    state.run,
    (value) => {
      state.run = value;
      openRun();
    },
    { size: "middle" },
  );
  for (const [facet, text] of FACETS) {
    const values = new Map();
    for (const place of candidates(facet)) {
      const own = run().cells[place];
      if (!values.has(facetValue(own, facet))) values.set(facetValue(own, facet), own);
    }
    const options = [...values]
      .sort(([a], [b]) => ascending(a, b))
      .map(([value, own]) => [value, facetText(facet, value, own)]);
    fill(
      "settings",
      facet,
      text,
      options,
      facetValue(cell(), facet),
      (value) => {
        state.cell = nearest(facet, value);
        state.shown = PAGE;
      },
      { size: facet === "condition" ? "wide" : "" },
    );
    reveal(facet, ALWAYS.has(facet) || options.length > 1);
  }
}
