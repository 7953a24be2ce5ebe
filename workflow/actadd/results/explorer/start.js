function save() {
  const settings = { experiment: experiment().name, model: run().model };
  for (const [facet] of FACETS) if (cell()[facet] !== undefined) settings[facet] = cell()[facet];
  Object.assign(settings, {
    metric: state.metric,
    group: state.group,
    show: state.show,
    prompt: state.prompt,
    order: state.order,
  });
  if (state.find) settings.find = state.find;
  history.replaceState(null, "", `#${new URLSearchParams(settings)}`);
}

function restore() {
  const settings = new URLSearchParams(location.hash.slice(1));
  const indexIn = (list, name, key) =>
    Math.max(
      0,
      list.findIndex((entry) => entry[name] === settings.get(key)),
    );
  state.experiment = indexIn(EXPERIMENTS, "name", "experiment");
  state.run = indexIn(experiment().runs, "model", "model");
  openRun();
  if (!settings.has("experiment")) return;
  const agrees = (entry) =>
    FACETS.every(([facet]) => String(entry[facet] ?? "") === (settings.get(facet) ?? ""));
  const cellId = run().cells.findIndex(agrees);
  if (cellId >= 0) state.cell = cellId;
  if (run().metrics.includes(settings.get("metric"))) state.metric = settings.get("metric");
  if (run().groups.includes(settings.get("group"))) state.group = settings.get("group");
  if (settings.get("show") === "difference") state.show = "difference";
  if (["rise", "fall"].includes(settings.get("order"))) state.order = settings.get("order");
  if (
    settings.get("prompt") === "all" ||
    (settings.has("prompt") && run().prompts[Number(settings.get("prompt"))])
  )
    state.prompt = settings.get("prompt");
  state.find = settings.get("find") || "";
}

function draw() {
  drawSettings();
  drawSetting();
  drawChartSettings();
  drawCharts();
  drawCompletionSettings();
  drawPairs();
}

for (const form of document.forms)
  form.addEventListener("submit", (event) => event.preventDefault());

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("completions").focus();
  byId("completions").scrollIntoView();
});

byId("more").addEventListener("click", () => {
  const first = byId("pairs").querySelectorAll("article").length;
  state.limit += PAGE;
  drawPairs();
  const next = byId("pairs").querySelectorAll("article")[first];
  next.tabIndex = -1;
  next.focus({ preventScroll: true });
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);

restore();
draw();
addEventListener("DOMContentLoaded", drawCharts);
