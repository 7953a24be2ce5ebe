// The fields of the trial: their values as the server takes them.

export const byId = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

const NUMBERS = ["samples", "tokens", "seed", "temperature", "top_p", "frequency_penalty"];
// The sliders' ends; the number beside a slider may be beyond them.
const UNITS = { coefficient: { end: 20, step: 0.5 }, dose: { end: 2, step: 0.05 } };

const number = (id) => (byId(id).value === "" ? null : Number(byId(id).value));

// What is asked of the server.
export function trial() {
  return {
    prompt: byId("prompt").value,
    vector: byId("vector").value,
    positive: byId("positive").value,
    negative: byId("negative").value,
    layer: number("layer"),
    strength: number("strength-value"),
    dosed: byId("unit").value === "dose",
    position: byId("position").value,
    control: byId("control").checked,
    ...Object.fromEntries(NUMBERS.map((id) => [id, number(id)])),
  };
}

// Fields and outputs that follow from others.
export function follow(changed) {
  byId("pair").hidden = byId("vector").value !== "";
  byId("layer-value").textContent = `${byId("layer").value} (0 to ${byId("layer").max})`;
  const slider = byId("strength");
  if (changed === "unit") {
    const unit = byId("unit").value;
    const { end, step } = UNITS[unit];
    Object.assign(slider, { min: -end, max: end, step });
    slider.value = byId("strength-value").value = unit === "dose" ? 0.5 : 4;
    byId("strength-label").textContent = unit === "dose" ? "Dose" : "Coefficient";
  }
  if (changed === "strength") byId("strength-value").value = slider.value;
  if (changed === "strength-value") slider.value = byId("strength-value").value;
}

// The fields of a model: about is what the server says of it.
export function fill(about) {
  byId("layer").max = about.layers - 1;
  byId("layer").value = Math.round(about.layers / 3);
  byId("seed").value = about.seed;
  const groups = [
    ["of the config", about.vectors.filter((vector) => vector.ready)],
    ["of the config, not derived yet", about.vectors.filter((vector) => !vector.ready)],
  ];
  for (const [label, vectors] of groups)
    if (vectors.length)
      byId("vector").append(
        element(
          "optgroup",
          { label },
          ...vectors.map(({ name }) => element("option", { value: name }, name)),
        ),
      );
  byId("vector").value = about.first;
  follow();
}
