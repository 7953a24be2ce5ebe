// The page asks the server: what is added after each change, completions when it is told to.

import { byId, fill, follow, trial } from "./fields.js";
import { closeStreams, openStreams, showAdded, showScores } from "./results.js";

// The key stands behind # in the address that the server printed; a reload keeps it.
const KEY = location.hash.slice(1) || sessionStorage.getItem("key") || "";
sessionStorage.setItem("key", KEY);
history.replaceState(null, "", location.pathname);

const PAUSE = 200;

async function ask(address, body, signal) {
  const headers = { "Content-Type": "application/json", "X-Key": KEY };
  let answer;
  try {
    answer = await fetch(address, { method: "POST", headers, body: JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer; start actadd serve again.");
  }
  if (!answer.ok) throw new Error((await answer.json()).message);
  return answer;
}

// What is wrong, by what was asked.
const troubles = { inspect: "", steer: "" };

function trouble(where, text) {
  troubles[where] = text;
  const all = [...new Set(Object.values(troubles))].filter(Boolean);
  byId("trouble").textContent = all.join("\n");
  byId("trouble").hidden = !all.length;
}

// --- what is added ---

let latest = 0;

async function inspect() {
  latest += 1;
  const number = latest;
  const asked = trial();
  try {
    const answer = await (await ask("inspect", asked)).json();
    if (number !== latest) return;
    trouble("inspect", "");
    showAdded(answer, asked);
  } catch (error) {
    if (number === latest) trouble("inspect", error.message);
  }
}

// --- completions ---

let running;

// The events of a stream, one after another: [kind, value].
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (text + value).split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const [kind, data] = part.split("\n").map((line) => line.slice(line.indexOf(": ") + 2));
      yield [kind, JSON.parse(data)];
    }
  }
}

function stop() {
  running?.abort();
  running = undefined;
  byId("stop").disabled = true;
  closeStreams();
}

async function steer() {
  stop();
  const controller = new AbortController();
  running = controller;
  byId("stop").disabled = false;
  const asked = trial();
  const say = (text) => {
    byId("progress").textContent = text;
  };
  say("");
  try {
    const answer = await ask("continue", asked, controller.signal);
    trouble("steer", "");
    const add = openStreams(asked);
    let steps = 0;
    for await (const [kind, value] of events(answer)) {
      if (running !== controller) return;
      if (kind === "waiting") say(`Waits for ${value.before} trial of another page.`);
      if (kind === "start") say("Reads the prompt.");
      if (kind === "error") throw new Error(value.message);
      if (kind === "step") {
        for (const [name, sample, text] of value.texts) add(name, sample, text);
        steps += 1;
        say(`${steps} of ${asked.tokens} tokens`);
      }
      if (kind === "done") {
        showScores(value);
        const rate = Math.round(value.drawn / value.seconds);
        say(`${value.drawn} tokens in ${value.seconds.toFixed(1)} s, ${rate} a second`);
      }
    }
  } catch (error) {
    if (running === controller) {
      say("");
      if (error.name !== "AbortError") trouble("steer", error.message);
    }
  }
  if (running === controller) stop();
}

// --- the fields ---

let timer;

function changed(event) {
  follow(event.target.id);
  if (event.target.id === "again") return;
  clearTimeout(timer);
  timer = setTimeout(inspect, PAUSE);
}

function settled(event) {
  if (event.target.id !== "again" && byId("again").checked) steer();
}

async function start() {
  try {
    const about = await (await ask("about", {})).json();
    byId("about").textContent =
      `${about.model}: ${about.layers} layers, ${about.width} dimensions, ${about.dtype}. ` +
      "Completions with and without a vector in its residual stream, drawn with the same noise.";
    fill(about);
  } catch (error) {
    byId("about").textContent = "";
    trouble("inspect", error.message);
    return;
  }
  const form = byId("trial");
  form.addEventListener("input", changed);
  form.addEventListener("change", settled);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    steer();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      steer();
    }
  });
  byId("stop").addEventListener("click", stop);
  await inspect();
}

start();
