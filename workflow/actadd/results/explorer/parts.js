// Completions are unpacked cell by cell, when they are first shown.
const parts = new Map();
const WAITING = new Map();
const EMPTY = { prompt: [], sample: [], text: [], failed: [], scores: {} };

async function unpack(id) {
  const bytes = Uint8Array.from(atob(byId(id).textContent), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

// The rows of a cell; undefined as long as they are packed.
function partOf(cellId) {
  const part = run().cells[cellId]?.part;
  return part === undefined ? EMPTY : parts.get(part);
}

// Unpacks the rows of cells; resolves to whether there was anything to unpack.
async function load(cellIds) {
  const missing = cellIds
    .map((cellId) => run().cells[cellId]?.part)
    .filter((part) => part !== undefined && !parts.has(part));
  await Promise.all(missing.map((part) => WAITING.get(part) ?? unpackPart(part)));
  return missing.length > 0;
}

function unpackPart(part) {
  const done = unpack(`part-${part}`).then((text) => {
    const rows = JSON.parse(text);
    rows.reasons = new Map(rows.failed);
    rows.rowOfKey = new Map();
    // Of several draws of a random vector, the first one stands beside another vector.
    rows.prompt?.forEach((prompt, row) => {
      const key = `${prompt} ${rows.sample[row]}`;
      if (!rows.rowOfKey.has(key)) rows.rowOfKey.set(key, row);
    });
    parts.set(part, rows);
  });
  WAITING.set(part, done);
  return done;
}

// The row of another cell with the same prompt and sample.
function rowBeside(cellId, row) {
  if (cellId === undefined) return undefined;
  const { prompt, sample } = partOf(state.cell);
  return partOf(cellId).rowOfKey?.get(`${prompt[row]} ${sample[row]}`);
}

// The charts' library is unpacked when the charts are first opened.
let library;
function loadPlotly() {
  library ??= unpack("plotly").then((text) => {
    document.body.append(element("script", { textContent: text }));
  });
  return library;
}
