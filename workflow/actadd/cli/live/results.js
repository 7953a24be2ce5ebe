// What the server answers, as parts of the page. Texts are inserted as texts, never as markup.

import { byId, element } from "./fields.js";

const format = (value) => {
  if (value === null || Number.isNaN(value)) return "–";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits).replace("-", "−");
};

// --- completions ---

let texts;

// Empty streams for a trial; returns a function that adds to one of them.
export function openStreams(asked) {
  const conditions = ["unsteered", "steered", ...(asked.control ? ["random"] : [])];
  texts = new Map();
  const pairs = Array.from({ length: asked.samples }, (_, sample) => {
    const sides = conditions.map((name) => {
      const grown = element("span");
      const scores = element("ul", { className: "scores" });
      texts.set(`${name} ${sample}`, { grown, scores });
      const title = asked.samples > 1 ? `${name} ${sample + 1}` : name;
      const prompt = element("span", { className: "asked" }, asked.prompt);
      return element(
        "div",
        { className: `side ${name}` },
        element("h3", {}, title),
        element("div", { className: "text" }, prompt, grown),
        scores,
      );
    });
    return element("div", { className: `pair of-${sides.length} running` }, ...sides);
  });
  byId("pairs").replaceChildren(...pairs);
  byId("means").hidden = true;
  return (name, sample, text) => {
    texts.get(`${name} ${sample}`).grown.append(text);
  };
}

export function closeStreams() {
  for (const pair of byId("pairs").children) pair.classList.remove("running");
}

// The whole texts and their scores, once a trial is done.
export function showScores(done) {
  for (const [name, samples] of Object.entries(done.texts))
    samples.forEach((text, sample) => {
      const { grown, scores } = texts.get(`${name} ${sample}`);
      grown.replaceChildren(text);
      scores.replaceChildren(
        ...Object.entries(done.scores[name] ?? {}).map(([metric, values]) =>
          element("li", {}, `${metric} `, element("b", {}, format(values[sample]))),
        ),
      );
    });
  showMeans(done);
}

function showMeans({ texts: drawn, scores }) {
  const conditions = Object.keys(drawn);
  const metrics = Object.keys(scores.unsteered ?? {});
  const count = drawn.unsteered.length;
  byId("means").hidden = count < 2 || !metrics.length;
  if (byId("means").hidden) return;
  const mean = (values) => {
    const known = values.filter((value) => value !== null);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  };
  const heads = [`mean of ${count}`, ...conditions].map((text) => element("th", {}, text));
  const lines = metrics.map((metric) => {
    const cells = conditions.map((name) =>
      element("td", {}, format(mean(scores[name][metric] ?? []))),
    );
    return element("tr", {}, element("td", {}, metric), ...cells);
  });
  byId("means").firstElementChild.replaceChildren(
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...lines),
  );
}

// --- the vector ---

const tokens = (list) => list.flatMap((token) => [element("code", {}, JSON.stringify(token)), " "]);

export function showAdded(added, asked) {
  const rows = added.rows.filter((row) => row.norm > 0);
  const largest = Math.max(1, ...rows.map((row) => row.ratio));
  const coefficient = asked.dosed ? `coefficient ${format(added.coefficient)}; ` : "";
  const zero = added.rows.length - rows.length;
  byId("size").textContent = added.rows.length
    ? `At layer ${asked.layer}, norms over the residual stream's median (${coefficient}that is ` +
      `${format(added.stream)})${zero ? `; ${zero} position${zero > 1 ? "s" : ""} of zeros left out` : ""}:`
    : "";
  byId("rows").replaceChildren(
    ...rows.map((row) => {
      const bar = element("span");
      bar.style.width = `${(100 * row.ratio) / largest}%`;
      return element(
        "li",
        {},
        element("code", {}, row.tokens),
        element(
          "div",
          { className: "size" },
          element("div", { className: "bar" }, bar),
          element("span", {}, `${format(row.ratio)} ×`),
        ),
        element(
          "div",
          { className: "lens" },
          element("div", {}, "raises ", ...tokens(row.up)),
          element("div", { className: "down" }, "lowers ", ...tokens(row.down)),
        ),
      );
    }),
  );
  byId("warnings").replaceChildren(...added.warnings.map((text) => element("li", {}, text)));
  byId("warnings").hidden = !added.warnings.length;
  showFiles(added.config);
}

function showFiles(files) {
  byId("files").replaceChildren(
    ...Object.entries(files).map(([name, text]) => {
      const copy = element("button", { type: "button" }, "Copy");
      copy.setAttribute("aria-label", `Copy ${name}`);
      copy.onclick = async () => {
        await navigator.clipboard.writeText(text);
        copy.textContent = "Copied";
      };
      return element(
        "figure",
        {},
        element("figcaption", {}, element("span", {}, name), copy),
        element("pre", { tabIndex: 0, ariaLabel: name }, text),
      );
    }),
  );
}
