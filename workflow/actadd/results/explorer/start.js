const SAVED = ["metric", "group", "show", "prompt", "order", "keep", "scores"];

function save() {
  const settings = { experiment: experiment().name, model: run().model };
  for (const [facet] of FACETS) if (cell()[facet] !== undefined) settings[facet] = cell()[facet];
  for (const name of SAVED) if (state[name] !== undefined) settings[name] = state[name];
  if (state.beside) settings.beside = state.beside;
  if (state.find) settings.find = state.find;
  if (byId("charts").open) settings.charts = "open";
  const fragment = `#${new URLSearchParams(settings)}`;
  if (fragment !== location.hash) history.replaceState(null, "", fragment);
}

function restore() {
  const settings = new URLSearchParams(location.hash.slice(1));
  const indexIn = (list, name, key, otherwise) => {
    const index = list.findIndex((entry) => entry[name] === settings.get(key));
    return index < 0 ? otherwise : index;
  };
  const [first, firstRun] = DATA.start;
  state.experiment = indexIn(EXPERIMENTS, "name", "experiment", first);
  const otherwise = state.experiment === first ? firstRun : 0;
  state.run = indexIn(experiment().runs, "model", "model", otherwise);
  openRun();
  if (!settings.has("experiment")) return;
  const agrees = (entry) =>
    FACETS.every(([facet]) => String(entry[facet] ?? "") === (settings.get(facet) ?? ""));
  const cellId = run().cells.findIndex(agrees);
  if (cellId >= 0) state.cell = cellId;
  const allowed = {
    metric: run().metrics,
    group: run().groups,
    show: ["mean", "difference"],
    prompt: ["all", ...run().prompts.keys()].map(String),
    order: ORDERS.map(([name]) => name),
    keep: KEEPS.map(([name]) => name),
    scores: ["one", "all"],
    beside: [NONE, ...run().cells.map((entry) => entry.condition)],
  };
  for (const [name, values] of Object.entries(allowed))
    if (values.includes(settings.get(name))) state[name] = settings.get(name);
  state.find = settings.get("find") || "";
  byId("charts").open = settings.get("charts") === "open";
}

function draw() {
  drawSettings();
  drawSetting();
  drawCharts();
  drawCompletionSettings();
  drawPairs();
}

for (const form of document.forms)
  if (form.method !== "dialog") form.addEventListener("submit", (event) => event.preventDefault());

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("completions").focus();
  byId("completions").scrollIntoView();
});

byId("more").addEventListener("click", () => {
  const first = byId("pairs").querySelectorAll("article").length;
  state.limit += PAGE;
  drawPairs();
  byId("pairs").querySelectorAll("article")[first]?.focus({ preventScroll: true });
});

// On a phone, completions come before what filters them.
byId("filters").open = matchMedia("(min-width: 46.01rem)").matches;
byId("charts").addEventListener("toggle", () => {
  drawCharts();
  save();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);

restore();
draw();
drawKeys();
// The charts' library is last in the file, so that texts can be read before it is there.
addEventListener("DOMContentLoaded", drawCharts);
