// The page: its state, examples and requests. Another script, which comes last, defines where the answers come from:
// `request`, `showError`, and the delays PREDICT_DELAY, EXPLAIN_DELAY and RETRY_DELAY in milliseconds.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const MAX_CLASSES = 10;
let model = null;        // what /v1/model answers
let lastRequest = 0;     // number of the newest request; responses to older ones are dropped
let timers = [];         // of requests that are not sent yet
let controller = null;   // aborts the requests that are sent
let explanation = null;  // the explanation on the page
let explainedLabel = null;  // of several labels, the one that was clicked; null for the server's choice
let selected = -1;       // index of the selected token or row

// Data is inserted as text, never as markup.
function createElement(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
function createSvg(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
const percent = (p) => (100 * p).toFixed(1) + "%";
const signed = (x) => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(2);
// Few fonts have a letter for the separator between columns.
const SEPARATOR = "\u241f";
const visible = (text) => text.replaceAll(SEPARATOR, "‖");
const shorten = (text, length) => (text.length > length ? text.slice(0, Math.max(1, length - 1)) + "…" : text);

class ApiError extends Error {
  constructor(status, message, hint) { super(message); this.status = status; this.hint = hint; }
}
function schedule(callback, delay) { timers.push(setTimeout(callback, delay)); }

async function start() {
  const before = model;
  try {
    model = await request("/v1/model");
  } catch (error) {
    showError(error);
    return;
  }
  $("notice").hidden = true;
  $("about").textContent = `Run ${model.run}, trained on ${model.dataset.replace(/^.*[\\/](?=.)/, "")}, ${model.labels.length} ${model.thresholds ? "labels" : "classes"}`;
  document.title = `lstm: ${model.run}`;
  $("main-panel").hidden = false;
  if (!before || before.run !== model.run || before.name !== model.name) prepareInput(before);
  showClasses(null);
  // The page opens with an answer.
  if (!isEmpty()) update(); else if (model.examples && model.examples.length) showExample(0);
}
// What a person has typed or drawn stays if another run reads it, too; an example does not.
function prepareInput(before) {
  const isText = model.kind === "text", isLike = before && before.kind === model.kind
    && String(before.text_columns) === String(model.text_columns) && String(before.shape) === String(model.shape);
  explainedLabel = null;
  $("input-title").textContent = isText ? "Text" : "Drawing";
  $("text-input").hidden = !isText;
  $("image-input").hidden = isText;
  if (!isLike || $("examples").querySelector("[aria-pressed=true]")) {
    if (isText) makeFields(); else pad.clear();
  }
  listExamples();
  showExplanation(null);
}
function listExamples() {
  const examples = model.examples || [];
  $("examples-panel").hidden = !examples.length;
  $("examples").classList.toggle("images", model.kind === "image");
  $("examples").replaceChildren(...examples.map((example, index) => {
    const item = createElement("li"), button = createElement("button", null, { type: "button", "aria-pressed": "false" });
    if (model.kind === "text") {
      button.append(createElement("span", visible(example), { dir: "auto" }));
    } else {
      const canvas = createElement("canvas", null, { "aria-hidden": "true" });
      drawPixels(canvas, example);
      button.append(canvas);
      button.setAttribute("aria-label", `Example ${index + 1}`);
    }
    button.addEventListener("click", () => showExample(index));
    item.append(button);
    return item;
  }));
}
function showExample(index) {
  explainedLabel = null;
  if (model.kind === "text") fillText(model.examples[index]); else pad.show(model.examples[index]);
  markExample(index);
  update();
}
function markExample(index) {
  $("examples").querySelectorAll("button").forEach((button, place) => {
    button.setAttribute("aria-pressed", String(place === index));
  });
}

// Requests

function requestBody() {
  return model.kind === "text" ? { text: textValue() } : { image: pad.rows() };
}
function isEmpty() {
  return model.kind === "text" ? fields.every((field) => !field.area.value.trim()) : pad.isEmpty;
}
function update(delay = 0) {
  timers.forEach(clearTimeout);
  timers = [];
  if (controller) controller.abort();
  controller = new AbortController();
  const number = ++lastRequest, signal = controller.signal;
  if (isEmpty()) {
    $("notice").hidden = true;
    clearAnswer();
    return;
  }
  document.body.classList.add("pending");
  schedule(() => predict(number, signal), delay);
}
async function predict(number, signal) {
  const body = requestBody();
  try {
    const response = await request("/v1/predict", { ...body, top_k: MAX_CLASSES }, signal);
    if (number !== lastRequest) return;
    // The server has another run now.
    if (response.run !== model.run) { schedule(start, RETRY_DELAY); return; }
    $("notice").hidden = true;
    showClasses(response.predictions[0]);
    schedule(() => explain(number, signal, body), EXPLAIN_DELAY);
  } catch (error) {
    if (number !== lastRequest) return;
    clearAnswer();
    showError(error);
  }
}
async function explain(number, signal, body) {
  try {
    const chosen = explainedLabel === null ? {} : { label: explainedLabel };
    const response = await request("/v1/explain", { ...body, ...chosen }, signal);
    if (number === lastRequest) showExplanation(response);
  } catch (error) {
    if (number !== lastRequest) return;
    showExplanation(null);
    if (!(error instanceof ApiError) || error.status !== 422) showError(error);
  }
}
// What was answered for another input, or by a server that is gone, must not stay.
function clearAnswer() {
  showClasses(null);
  showExplanation(null);
}
function showExplanation(response) {
  explanation = response;
  selected = -1;
  document.body.classList.remove("pending");
  $("explanation").hidden = !response;
  $("step").textContent = "";
  hideTip();
  if (model.kind === "text") {
    paintWords();
    showEffects();
  }
  if (!response) return;
  if (model.kind === "text") showLineChart(); else showHeatmap();
  showUnits();
  select(startStep());
}
// The selected token or row, everywhere on the page.
function select(step) {
  if (!explanation || Number.isNaN(step)) return;
  const { steps } = explanation.prefixes;
  step = Math.min(Math.max(step, 0), steps.length - 1);
  if (step === selected) return;
  selected = step;
  $("prefixes").firstChild.move(step);
  if (model.kind === "text") {
    markWord(step);
    const token = explanation.tokens[step];
    $("step").textContent = `“${token.text}”${token.known ? "" : token.read_as ? ` (unknown, the LSTM reads “${token.read_as}”)` : " (unknown)"}: effect `
      + `${signed(explanation.token_effects.effects[step])} log-odds. Probability of “${explanation.prediction.label}” after it: `
      + `${percent(steps[step][labelIndex()])}.`;
  } else {
    const row = steps[step], best = row.indexOf(Math.max(...row));
    $("step").textContent = `After ${stepName("row", step)}: “${model.labels[best]}”, probability ${percent(row[best])}.`;
  }
  moveGates(step);
}

// Input events

$("clear").addEventListener("click", () => {
  if (model.kind === "text") { fillText(""); fields[0].area.focus(); } else pad.clear();
  markExample(-1);
  update();
});
$("prefixes").addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -1e9, End: 1e9 };
  if (!(event.key in steps) || !explanation) return;
  event.preventDefault();
  select(selected + steps[event.key]);
  if (model.kind === "text") showWord(selected);
});
// Drawings have the width of the window and the colours of the theme.
function redraw() {
  if (!explanation || !$("prefixes").clientWidth) return;
  const step = selected;
  if (model.kind === "text") showLineChart(); else showHeatmap();
  showUnits();
  selected = -1;
  select(step);
}
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
