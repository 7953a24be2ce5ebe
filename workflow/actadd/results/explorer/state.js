"use strict";

// Texts of models and configs become text nodes only, never markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const EXPERIMENTS = DATA.experiments;
const PAGE = 20;
const MAX_GRID_VALUES = 80;
const MAX_COMPARED_ROWS = 40;

// The coordinates of a cell, in the order of selection; those in ALWAYS are always visible.
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
const ALWAYS = new Set(["condition", "layer", "coefficient"]);
const NONE = "none";

const state = {
  experiment: 0,
  run: 0,
  show: "mean",
  order: "drawn",
  prompt: "0",
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

function number(value, signed = false) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const short =
    size !== 0 && (size >= 1e6 || size < 1e-4)
      ? value.toExponential(2)
      : String(Number(value.toPrecision(size >= 1000 ? 4 : 3)));
  return (signed && value > 0 ? "+" : "") + short.replace("-", "−");
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const unique = (values) => [...new Set(values)];
const ascending = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : 0);
const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const plural = (count, one) => `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;
