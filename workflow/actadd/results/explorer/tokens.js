// Texts that the model read, token by token.

// A colour for a number from -1 to 1: likelier under steering, or less likely.
function tokenColour(share) {
  const strength = Math.round(100 * Math.min(1, Math.abs(share)) ** 0.7);
  const colour = share > 0 ? "--likelier" : "--less-likely";
  return `color-mix(in srgb, var(${colour}) ${strength}%, transparent)`;
}

function tokenNode(token, logprob, before) {
  const compared = before !== undefined && before !== null;
  const words = [`${token.trim() || "space"}: surprise ${(-logprob).toFixed(2)} nats`];
  if (compared)
    words.push(`unsteered ${(-before).toFixed(2)}, so ${number(before - logprob, true)}`);
  const node = element(
    "span",
    { className: "token", title: words.join("; ") },
    token.trim() || "␣",
  );
  // Four nats, a factor of 55 in probability, have the full colour.
  const share = compared ? (logprob - before) / 4 : -logprob / -12;
  node.style.background = tokenColour(compared ? share : -Math.abs(share));
  return node;
}

function readText(index) {
  const { tokens, logprobs } = partOf(state.cell);
  const before = cell().unsteered === undefined ? undefined : partOf(cell().unsteered).logprobs;
  const known = tokens[index].map((_, row) => row).filter((row) => logprobs[index][row] !== null);
  const nodes = known.map((row) =>
    tokenNode(tokens[index][row], logprobs[index][row], before?.[index]?.[row]),
  );
  const mean = (values) => known.reduce((sum, row) => sum - values[row], 0) / known.length;
  const surprise = `mean surprise ${mean(logprobs[index]).toFixed(2)} nats`;
  const change = before ? ` (unsteered ${mean(before[index]).toFixed(2)})` : "";
  const { group } = run().prompts[index];
  return element(
    "article",
    { className: "pair of-1", tabIndex: -1 },
    element(
      "div",
      { className: "side" },
      element("h3", {}, [group, surprise + change].filter(Boolean).join(", ")),
      element("p", { className: "tokens", dir: "auto" }, ...nodes),
      element("p", { className: "readout" }, ""),
    ),
  );
}

function drawTexts() {
  const { tokens } = partOf(state.cell);
  const group = state.group === "all" ? undefined : state.group;
  const texts = (tokens || [])
    .map((_, index) => index)
    .filter((index) => state.prompt === "all" || index === Number(state.prompt))
    .filter((index) => !group || run().prompts[index].group === group);
  byId("pairs").replaceChildren(...texts.slice(0, state.limit).map(readText));
  drawMore(texts.length);
  byId("count").textContent = tokens
    ? `${plural(texts.length, "text")} that the model read.`
    : "No text was read at this setting.";
  const key = (share, text) => {
    const node = element("span", { className: "token" }, text);
    node.style.background = tokenColour(share);
    return node;
  };
  const legend =
    cell().unsteered === undefined
      ? ["Tokens: ", key(-1, "surprising"), "."]
      : ["Tokens under steering: ", key(1, "likelier"), ", ", key(-1, "less likely"), "."];
  byId("legend").replaceChildren(...legend, " Point at a token for its numbers.");
}

for (const event of ["pointerover", "click"])
  byId("pairs").addEventListener(event, ({ target }) => {
    const readout = target.closest("article")?.querySelector(".readout");
    if (readout && target.className === "token") readout.textContent = target.title;
  });
