function save() {
  const kept = { experiment: experiment().name, model: run().model };
  for (const [facet] of FACETS) if (cell()[facet] !== undefined) kept[facet] = cell()[facet];
  Object.assign(kept, {
    metric: state.metric,
    group: state.group,
    show: state.show,
    prompt: state.prompt,
    order: state.order,
  });
  if (state.find) kept.find = state.find;
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
}

function restore() {
  const kept = new URLSearchParams(location.hash.slice(1));
  const at = (list, name, key) =>
    Math.max(
      0,
      list.findIndex((own) => own[name] === kept.get(key)),
    );
  state.experiment = at(EXPERIMENTS, "name", "experiment");
  state.run = at(experiment().runs, "model", "model");
  openRun();
  if (!kept.has("experiment")) return;
  const agrees = (own) =>
    FACETS.every(([facet]) => String(own[facet] ?? "") === (kept.get(facet) ?? ""));
  const place = run().cells.findIndex(agrees);
  if (place >= 0) state.cell = place;
  if (run().metrics.includes(kept.get("metric"))) state.metric = kept.get("metric");
  if (run().groups.includes(kept.get("group"))) state.group = kept.get("group");
  if (kept.get("show") === "difference") state.show = "difference";
  if (["rise", "fall"].includes(kept.get("order"))) state.order = kept.get("order");
  if (
    kept.get("prompt") === "all" ||
    (kept.has("prompt") && run().prompts[Number(kept.get("prompt"))])
  )
    state.prompt = kept.get("prompt");
  state.find = kept.get("find") || "";
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
  state.shown += PAGE;
  drawPairs();
  const next = byId("pairs").querySelectorAll("article")[first];
  next.tabIndex = -1;
  next.focus({ preventScroll: true });
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);

restore();
draw();
addEventListener("DOMContentLoaded", drawCharts);
