"use strict";

// Texts of models and configs become text nodes only, never markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const EXPERIMENTS = DATA.experiments;
const PAGE = 20;
const MAX_GRID_VALUES = 80;
const MAX_COMPARED_ROWS = 40;

// The coordinates of a cell, in the order of selection.
const FACETS = [
  ["condition", "Vector"],
  ["layer", "Layer"],
  ["coefficient", "Coefficient"],
  ["source_layer", "From layer"],
  ["position", "Position"],
  ["dimensions", "Share of dimensions"],
  ["phase", "Phase"],
  ["temperature", "Temperature"],
  ["top_p", "Top-p"],
  ["frequency_penalty", "Frequency penalty"],
  ["seed", "Seed"],
];
// Those that a cell's name always has.
const ALWAYS = new Set(["condition", "layer", "coefficient"]);
const NONE = "none";

const state = {
  experiment: DATA.start[0],
  run: DATA.start[1],
  show: "mean",
  order: "drawn",
  keep: "all",
  scores: "one",
  prompt: "all",
  find: "",
  limit: PAGE,
};

const byId = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
const unique = (values) => [...new Set(values)];
const ascending = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : 0);
const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const plural = (count, one) => `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;
