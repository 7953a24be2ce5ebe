// Rows of all completions that the filters leave: a head, then a list for each.
function copiedRows() {
  const sides = columns();
  const { prompt, sample, draw } = partOf(state.cell);
  const scored = run().scored;
  const head = ["prompt", "sample", ...(draw ? ["draw"] : []), ...sides.map(([, name]) => name)];
  for (const metric of scored) for (const [, name] of sides) head.push(`${label(metric)}: ${name}`);
  const rows = chosenRows().map((row) => {
    const cells = sides.map(([, , id]) => [id, id === state.cell ? row : rowBeside(id, row)]);
    return [
      run().prompts[prompt[row]].text,
      sample[row],
      ...(draw ? [draw[row]] : []),
      ...cells.map(([id, here]) => partOf(id).text[here] ?? ""),
      ...scored.flatMap((metric) =>
        cells.map(([id, here]) => partOf(id).scores[metric]?.[here] ?? ""),
      ),
    ];
  });
  return [head, ...rows];
}

const csvField = (value) =>
  /[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value);

const asCsv = (rows) => `${rows.map((row) => row.map(csvField).join(",")).join("\r\n")}\r\n`;

// Markup of Markdown and HTML in a text is escaped.
function markdownField(value) {
  if (typeof value === "number") return String(value);
  return String(value)
    .trim()
    .replace(/[\\`*_[\]#|~]/g, "\\$&")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replace(/\s*\n\s*/g, "<br>");
}

function asMarkdown(rows) {
  const line = (fields) => `| ${fields.join(" | ")} |`;
  const [head, ...body] = rows.map((row) => row.map(markdownField));
  const title = `${experiment().title}, ${run().model}: ${cellName(cell())}`;
  return `${markdownField(title)}\n\n${[head, head.map(() => "---"), ...body].map(line).join("\n")}\n`;
}

async function copy(text) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Where a page may not write to the clipboard itself, the selection can be copied.
    const area = element("textarea", { value: text, ariaHidden: "true" });
    const before = document.activeElement;
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    before?.focus();
  }
  const count = chosenRows().length;
  byId("count").textContent = done
    ? `Copied ${plural(count, "row")}.`
    : "The browser does not let this page copy.";
}

const FORMATS = { markdown: ["Markdown", asMarkdown], csv: ["CSV", asCsv] };

function copyAs(format) {
  if (!isMeasured()) copy(FORMATS[format][1](copiedRows()));
}

function drawCopyButtons() {
  const buttons = Object.entries(FORMATS).map(([format, [name]]) => {
    const button = element("button", { type: "button" }, `Copy ${name}`);
    button.onclick = () => copyAs(format);
    fields.set(`copy-${format}`, button);
    return button;
  });
  byId("completion-settings").append(element("div", { className: "copies" }, ...buttons));
}
