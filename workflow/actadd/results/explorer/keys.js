function toggle(id) {
  byId(id).open = !byId(id).open;
}

// Moves to the next or previous completion.
function move(by) {
  const articles = [...document.querySelectorAll("article")];
  const at = articles.indexOf(document.activeElement.closest("article"));
  let next = at < 0 ? (by > 0 ? 0 : -1) : at + by;
  if (next >= articles.length && !byId("more").hidden) {
    byId("more").click();
    return;
  }
  next = Math.min(articles.length - 1, Math.max(0, next));
  articles[next]?.focus({ preventScroll: true });
  articles[next]?.scrollIntoView({ block: "nearest" });
}

const KEYS = [
  ["j", "next completion", () => move(1)],
  ["k", "previous completion", () => move(-1)],
  ["n", "next prompt", () => step(1)],
  ["p", "previous prompt", () => step(-1)],
  ["/", "find in completions", () => openFilters("find")],
  ["o", "order", () => openFilters("order")],
  ["s", "all scores at this setting", () => toggle("scores")],
  ["g", "charts", () => toggle("charts")],
  ["m", "copy as Markdown", () => copyAs("markdown")],
  ["c", "copy as CSV", () => copyAs("csv")],
  ["?", "these keys", () => byId("help").showModal()],
];

function openFilters(name) {
  byId("filters").open = true;
  fields.get(name).focus();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.matches("input, select, textarea") || byId("help").open) return;
  const entry = KEYS.find(([key]) => key === event.key);
  if (!entry) return;
  event.preventDefault();
  entry[2]();
});

function drawKeys() {
  byId("keys").replaceChildren(
    ...KEYS.map(([key, text]) =>
      element("div", {}, element("dt", {}, element("kbd", {}, key)), element("dd", {}, text)),
    ),
  );
  const button = element(
    "button",
    { type: "button", id: "show-keys" },
    "Keys ",
    element("kbd", {}, "?"),
  );
  button.onclick = () => byId("help").showModal();
  document.querySelector(".copies").append(button);
}
