const PARTED = { other: /[\p{L}\p{N}\p{M}_]+/gu, space: /\S+/gu };
const EDGES = /^[!-/:-@[-`{-~]+|[!-/:-@[-`{-~]+$/g;

// The scorers whose words are marked: that of the score on display, or all that have a lexicon.
function markingScorers() {
  const all = Object.keys(run().marks);
  const [scorer] = state.metric?.split(".") ?? [];
  return all.includes(scorer) ? [scorer] : all;
}

// [start, end, kind, value] of the words in a text that a scorer counts.
function scoredSpans(text) {
  const spans = [];
  for (const scorer of markingScorers()) {
    const { parted, words } = run().marks[scorer];
    for (const match of text.matchAll(PARTED[parted])) {
      const bare = parted === "space" ? match[0].replace(EDGES, "") : match[0];
      const word = bare.normalize("NFC").toLowerCase();
      if (!Object.hasOwn(words, word)) continue;
      const start = match.index + match[0].indexOf(bare);
      spans.push([start, start + bare.length, words[word] < 0 ? "down" : "up", words[word]]);
    }
  }
  return spans;
}

function hitSpans(text) {
  const query = state.find.trim();
  if (!query) return [];
  const pattern = new RegExp(query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "giu");
  return [...text.matchAll(pattern)].map(({ index, 0: hit }) => [index, index + hit.length, "hit"]);
}

// A text as nodes, with marks on what was searched for and on scored words.
function markedText(text) {
  const hits = hitSpans(text);
  const free = ([start, end]) => hits.every((hit) => end <= hit[0] || start >= hit[1]);
  const spans = [...hits, ...scoredSpans(text).filter(free)].sort((a, b) => a[0] - b[0]);
  const nodes = [];
  let last = 0;
  for (const [start, end, kind, value] of spans) {
    if (start < last) continue;
    const title = value === undefined || Math.abs(value) === 1 ? "" : number(value, true);
    nodes.push(text.slice(last, start));
    nodes.push(element("mark", { className: kind, title }, text.slice(start, end)));
    last = end;
  }
  return [...nodes, text.slice(last)];
}

function drawLegend() {
  const scorers = markingScorers();
  const values = scorers.flatMap((scorer) => Object.values(run().marks[scorer].words));
  const nodes = [];
  const mark = (kind, text) => element("mark", { className: kind }, text);
  if (values.some((value) => value < 0))
    nodes.push(
      `Words that the scorer ${scorers.join(" and ")} counts: `,
      mark("up", "positive"),
      ", ",
      mark("down", "negative"),
      ". ",
    );
  else if (values.length)
    nodes.push(mark("up", "Marked"), `: words that the scorer ${scorers.join(" and ")} counts. `);
  if (state.find.trim()) nodes.push(mark("hit", "Marked"), ": what was searched for. ");
  byId("legend").replaceChildren(...nodes);
}
