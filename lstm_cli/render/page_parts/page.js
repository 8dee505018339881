// The page: inputs, and how answers are shown. Another script, which comes after this one, defines where the answers
// come from: `request`, `showError`, and the delays PREDICT_DELAY, EXPLAIN_DELAY and RETRY_DELAY in milliseconds.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const MAX_CLASSES = 10;
const SEPARATOR = "\u241f";
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
function createSvg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
const percent = (p) => (100 * p).toFixed(1) + "%";
const signed = (x) => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(2);

class ApiError extends Error {
  constructor(status, message, hint) { super(message); this.status = status; this.hint = hint; }
}
function schedule(callback, delay) { timers.push(setTimeout(callback, delay)); }

async function start() {
  try {
    model = await request("/v1/model");
  } catch (error) {
    showError(error);
    return;
  }
  $("notice").hidden = true;
  $("about").textContent = `Run ${model.run}, trained on ${model.dataset}, ${model.labels.length} ${model.thresholds ? "labels" : "classes"}`;
  document.title = `lstm: ${model.run}`;
  $("main-panel").hidden = false;
  if (model.kind === "text") {
    $("text-input").hidden = false;
    showTextFields();
    textFields()[0].focus();
  } else {
    $("image-input").hidden = false;
    $("tokens-section").hidden = true;
    pad.clear();
  }
  listExamples();
  showClasses(null);
}
// A text of several columns has a field for each. In the text of an example or an explanation, the separator is between them.
function showTextFields() {
  const columns = model.text_columns || [];
  if (columns.length < 2) return;
  $("text-input").replaceChildren(...columns.flatMap((column, index) => {
    const field = createElement("textarea", null, { id: `text-${index}`, spellcheck: "false" });
    return [createElement("label", column, { for: field.id }), field];
  }));
}
function textFields() { return [...$("text-input").querySelectorAll("textarea")]; }
function textValue() {
  const values = textFields().map((field) => field.value);
  if (values.length === 1) return values[0];
  return Object.fromEntries(values.map((value, index) => [model.text_columns[index], value]));
}
function fillText(text) {
  const fields = textFields(), values = fields.length > 1 ? text.split(SEPARATOR).map((value) => value.trim()) : [text];
  fields.forEach((field, index) => { field.value = values[index] || ""; });
}
function listExamples() {
  const examples = model.examples || [];
  $("examples-panel").hidden = !examples.length;
  $("examples").replaceChildren(...examples.map((example, index) => {
    const item = createElement("li"), button = createElement("button", null, { type: "button" });
    if (model.kind === "text") {
      button.textContent = example.length > 80 ? example.slice(0, 79) + "…" : example;
      button.addEventListener("click", () => { fillText(example); update(); });
    } else {
      const canvas = createElement("canvas", null, { "aria-hidden": "true" });
      drawPixels(canvas, example);
      button.append(canvas);
      button.setAttribute("aria-label", `Example ${index + 1}`);
      button.addEventListener("click", () => { pad.show(example); update(); });
    }
    item.append(button);
    return item;
  }));
}

// Requests

function requestBody() {
  return model.kind === "text" ? { text: textValue() } : { image: pad.rows() };
}
function isEmpty() {
  return model.kind === "text" ? textFields().every((field) => !field.value.trim()) : pad.isEmpty;
}
function update(delay = 0) {
  timers.forEach(clearTimeout);
  timers = [];
  if (controller) controller.abort();
  controller = new AbortController();
  const number = ++lastRequest, signal = controller.signal;
  if (isEmpty()) {
    $("notice").hidden = true;
    showClasses(null);
    showExplanation(null);
    return;
  }
  schedule(() => predict(number, signal), delay);
}
async function predict(number, signal) {
  const body = requestBody();
  try {
    const response = await request("/v1/predict", { ...body, top_k: MAX_CLASSES }, signal);
    if (number !== lastRequest) return;
    $("notice").hidden = true;
    showClasses(response.predictions[0]);
    schedule(() => explain(number, signal, body), EXPLAIN_DELAY);
  } catch (error) {
    if (number === lastRequest) showError(error);
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

// Responses

function showClasses(prediction) {
  $("label").textContent = prediction ? headline(prediction) : "–";
  const shown = prediction ? Object.entries(prediction.probabilities)
    : model.labels.slice(0, MAX_CLASSES).map((label) => [label, 0]);
  // In the order of the run's labels, so that bars do not move while the user types.
  if (model.labels.length <= MAX_CLASSES) {
    shown.sort((a, b) => model.labels.indexOf(a[0]) - model.labels.indexOf(b[0]));
  }
  const longest = Math.max(...shown.map(([label]) => label.length));
  $("classes").style.setProperty("--name", `${Math.min(longest + 1, 14)}ch`);
  const isMultiLabel = Boolean(model.thresholds);
  $("classes").replaceChildren(...shown.map(([label, p]) => {
    const row = createElement("div", null, { class: "class" }), track = createElement("div", null, { class: "track", "aria-hidden": "true" });
    const fill = createElement("div", null, { class: "fill" });
    fill.style.width = percent(p);
    track.append(fill);
    if (isMultiLabel && prediction) {
      const isPredicted = prediction.labels.includes(label);
      row.classList.toggle("below", !isPredicted);
      const mark = createElement("div", null, { class: "threshold" });
      mark.style.left = percent(model.thresholds[label]);
      track.append(mark);
      row.append(labelButton(label, isPredicted));
    } else {
      row.append(createElement("span", label, { class: "name", title: label }));
    }
    row.append(track,
      createElement("span", prediction ? percent(p) : "", { class: "value" }));
    return row;
  }));
  let counts = "";
  if (prediction && prediction.num_tokens !== undefined) {
    counts = `${prediction.num_tokens} tokens, ${percent(prediction.unknown)} of them unknown`;
    if (prediction.truncated) counts += `; the middle is left out (the model reads ${model.max_tokens} tokens)`;
  }
  if (prediction && !prediction.label && !prediction.labels) counts += ". No class is probable enough for an answer";
  $("counts").textContent = counts.replace(/^\. /, "");
}
function headline(prediction) {
  // The label is empty if no class is probable enough for an answer.
  if (!prediction.labels) return prediction.label || "No answer";
  return prediction.labels.join(", ") || "no label";
}
// One label is explained at a time: a click on its name chooses it.
function labelButton(label, isPredicted) {
  const title = `Explain “${label}” (${isPredicted ? "" : "not "}predicted, threshold ${percent(model.thresholds[label])})`;
  const button = createElement("button", label, { type: "button", class: "name", title });
  button.addEventListener("click", () => {
    explainedLabel = explainedLabel === label ? null : label;
    update();
  });
  return button;
}
function showExplanation(response) {
  explanation = response;
  selected = -1;
  $("explanation").hidden = !response;
  $("step").textContent = "";
  if (!response) return;
  if (model.kind === "text") {
    showTokens();
    showLineChart();
  } else {
    showHeatmap();
  }
  select(startStep(), false);
}
function labelIndex() { return model.labels.indexOf(explanation.prediction.label); }
function showTokens() {
  const largest = Math.max(...explanation.token_effects.effects.map(Math.abs), 1e-9);
  $("tokens-help").textContent = `Blue supports “${explanation.prediction.label}”, orange is against it. Tokens with a dotted `
    + "line are not in the vocabulary. "
    + (explanation.token_effects.window > 1 ? `${explanation.token_effects.window} adjacent tokens share one colour. ` : "") + "Point at a token, or use the arrow keys.";
  // Offsets count characters; strings here count UTF-16 units.
  const characters = Array.from(explanation.text);
  const parts = [];
  let end = 0;
  explanation.tokens.forEach((token, step) => {
    const gap = characters.slice(end, token.start).join("");
    if (explanation.truncated_span && end <= explanation.truncated_span[0] && token.start >= explanation.truncated_span[1]) {
      parts.push(createElement("span", " … the middle is left out … ", { class: "truncated" }));
    } else {
      parts.push(document.createTextNode(gap));
    }
    const effect = explanation.token_effects.effects[step];
    // "½" holds three tokens: the first one shows it.
    const span = createElement("span", characters.slice(Math.max(end, token.start), token.end).join(""));
    span.dataset.step = step;
    if (!token.known) span.classList.add("unknown");
    const strength = (Math.abs(effect) / largest).toFixed(3);
    span.style.backgroundColor = `rgb(var(--${effect >= 0 ? "for" : "against"}) / calc(var(--max-opacity) * ${strength}))`;
    parts.push(span);
    end = Math.max(end, token.end);
  });
  $("tokens").replaceChildren(...parts);
}
function showLineChart() {
  const steps = explanation.prefixes.steps, width = $("prefixes").clientWidth, height = 130, left = 34, right = 8, top = 8, bottom = 8;
  const x = (step) => left + (width - left - right) * (step + 1) / steps.length;
  const y = (p) => top + (height - top - bottom) * (1 - p);
  const svg = createSvg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  for (const p of [0, 0.5, 1]) {
    svg.append(createSvg("line", { class: "grid", x1: left, x2: width - right, y1: y(p), y2: y(p) }));
    const mark = createSvg("text", { x: left - 4, y: y(p) + 4, "text-anchor": "end" });
    mark.textContent = 100 * p + "%";
    svg.append(mark);
  }
  const points = steps.map((row, step) => `${x(step)},${y(row[labelIndex()])}`);
  if (explanation.prefixes.start) points.unshift(`${x(-1)},${y(explanation.prefixes.start[labelIndex()])}`);
  svg.append(createSvg("polyline", { class: "probability", points: points.join(" ") }));
  const line = createSvg("line", { class: "selected-line", y1: top, y2: height - bottom });
  const dot = createSvg("circle", { class: "dot", r: 4 });
  svg.append(line, dot);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width * width;
    select(Math.round((at - left) / (width - left - right) * steps.length) - 1);
  });
  svg.move = (step) => {
    line.setAttribute("x1", x(step));
    line.setAttribute("x2", x(step));
    dot.setAttribute("cx", x(step));
    dot.setAttribute("cy", y(steps[step][labelIndex()]));
  };
  $("prefixes").replaceChildren(svg);
  $("prefixes-help").textContent = `The probability of “${explanation.prediction.label}” after each token. ${describeSwings("token")}`;
}
// The largest fall and rise of at least 5 percentage points, in input order.
function largeSwings() {
  const { drop, rise } = explanation.prefixes.swings;
  return [drop, rise].filter((swing) => swing && Math.abs(swing.after - swing.before) >= 0.05)
    .sort((a, b) => a.step - b.step);
}
function startStep() {
  const [first] = largeSwings();
  return first ? first.step : explanation.prefixes.steps.length - 1;
}
function describeSwings(unit) {
  const parts = largeSwings().map((swing) => `${swing.after > swing.before ? "rises" : "falls"} most at `
    + `${stepName(unit, swing.step)}, from ${percent(swing.before)} to ${percent(swing.after)}`);
  return parts.length ? `It ${parts.join(", and ")}.` : "It changes by less than 5 percentage points.";
}
function stepName(unit, step) {
  if (unit === "row") {
    const [start, end] = newRows(step);
    return end === start + 1 ? `row ${end}` : `rows ${start + 1} to ${end}`;
  }
  const last = Math.min(step + explanation.prefixes.window, explanation.tokens.length) - 1;
  if (last > step) return `“${explanation.tokens[step].text}” to “${explanation.tokens[last].text}” (tokens ${step + 1} to ${last + 1})`;
  return `“${explanation.tokens[step].text}” (token ${step + 1})`;
}
// The rows that a step over an image is the first to read: from the first one up to the second.
function newRows(step) {
  return [step ? explanation.windows[step - 1][1] : 0, explanation.windows[step][1]];
}
function rowsOfStep() {
  return explanation.windows[0][1] - explanation.windows[0][0];
}
function showHeatmap() {
  // One unit is one pixel, so that labels can be read in a narrow window too.
  const steps = explanation.prefixes.steps, width = Math.min($("prefixes").clientWidth, 540), gap = 14;
  const side = width / 2, size = side / pad.rows().length, wide = (width - side - gap) / model.labels.length;
  const height = side + 18, between = size > 8 ? 1 : 0;
  const svg = createSvg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const rows = pad.rows(), columns = rows[0].length;
  rows.forEach((row, r) => row.forEach((value, c) => {
    svg.append(createSvg("rect", {
      x: c * side / columns, y: 18 + r * size, width: side / columns + .3, height: size + .3,
      fill: `rgb(${value},${value},${value})`,
    }));
  }));
  model.labels.forEach((label, c) => {
    const name = createSvg("text", { x: side + gap + wide * (c + .5), y: 12, "text-anchor": "middle" });
    name.textContent = label.slice(0, Math.max(1, Math.floor(wide / 7)));
    svg.append(name);
    steps.forEach((row, step) => {
      const [start, end] = newRows(step);
      svg.append(createSvg("rect", {
        class: "cell", x: side + gap + wide * c + 1, y: 18 + start * size, width: wide - 2,
        height: (end - start) * size - between, "fill-opacity": row[c].toFixed(3),
      }));
    });
  });
  svg.append(createSvg("rect", { class: "cell-grid", x: side + gap, y: 18, width: wide * model.labels.length, height: side }));
  const mark = createSvg("rect", { class: "selected-row", x: .75, width: width - 1.5 });
  svg.append(mark);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height * height - 18) / size);
    select(explanation.windows.filter(([, end]) => end <= row).length);
  });
  svg.move = (step) => {
    const [start, end] = newRows(step);
    mark.setAttribute("y", 18 + start * size);
    mark.setAttribute("height", (end - start) * size);
  };
  $("prefixes").classList.add("rows");
  $("prefixes").replaceChildren(svg);
  const every = rowsOfStep() > 1 ? `each step of ${rowsOfStep()} rows, beside the rows that it is the first to read` : "each row";
  $("prefixes-help").textContent = `The probability of each class after ${every}, from the top; a stronger colour is a `
    + `higher probability. “${explanation.prediction.label}”: ${describeSwings("row")} Point at a row, or use the arrow keys.`;
}
function select(step, scroll = true) {
  if (!explanation || Number.isNaN(step)) return;
  const last = explanation.prefixes.steps.length - 1;
  step = Math.min(Math.max(step, 0), last);
  if (step === selected) return;
  selected = step;
  $("prefixes").firstChild.move(step);
  const row = explanation.prefixes.steps[step];
  const best = row.indexOf(Math.max(...row));
  if (model.kind === "text") {
    for (const span of $("tokens").querySelectorAll("[data-step]")) {
      const isSelected = Number(span.dataset.step) === step;
      span.classList.toggle("selected", isSelected);
      if (isSelected && scroll) span.scrollIntoView({ block: "nearest" });
    }
    const token = explanation.tokens[step];
    $("step").textContent = `“${token.text}”${token.known ? "" : token.read_as ? ` (unknown, the LSTM reads “${token.read_as}”)` : " (unknown)"}: effect `
      + `${signed(explanation.token_effects.effects[step])} log-odds. Probability of “${explanation.prediction.label}” after it: `
      + `${percent(row[labelIndex()])}.`;
  } else {
    $("step").textContent = `After ${stepName("row", step)}: “${model.labels[best]}”, probability ${percent(row[best])}.`;
  }
  showGates(step);
}
function showGates(step) {
  const gates = explanation.gates, unit = model.kind === "text" ? "token" : rowsOfStep() > 1 ? "step" : "row";
  $("gates-help").textContent = `The units that contribute most to “${explanation.prediction.label}”${gates.runner_up ? ` against “${gates.runner_up}”` : ""}, `
    + `at ${unit} ${step + 1}. The median unit of the last layer has a memory of ${gates.memory.toFixed(1)} ${unit}s.`;
  const head = createElement("tr");
  for (const name of ["Unit", "Contri\u00adbution", "Input gate", "Forget gate", "Output gate", "Cell state", "Memory"]) {
    head.append(createElement("th", name, { scope: "col" }));
  }
  const rows = gates.units.map((lstmUnit) => {
    const row = createElement("tr");
    row.append(createElement("th", `${lstmUnit.direction === "backward" ? "←" : "→"}\u00a0${lstmUnit.index}`,
      { scope: "row", "aria-label": `${lstmUnit.direction} ${lstmUnit.index}` }), createElement("td", signed(lstmUnit.contribution)));
    for (const name of ["input_gate", "forget_gate", "output_gate"]) {
      const cell = createElement("td"), gate = createElement("div", null, { class: "gate" }), value = lstmUnit[name][step];
      const track = createElement("div", null, { class: "track", "aria-hidden": "true" }), fill = createElement("div", null, { class: "fill" });
      fill.style.width = percent(value);
      track.append(fill);
      gate.append(track, createElement("span", value.toFixed(2)));
      cell.append(gate);
      row.append(cell);
    }
    row.append(createElement("td", signed(lstmUnit.cell[step])), createElement("td", lstmUnit.memory.toFixed(1)));
    return row;
  });
  $("gates").replaceChildren(head, ...rows);
}

// Drawing

function drawPixels(canvas, rows) {
  canvas.width = rows[0].length;
  canvas.height = rows.length;
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  rows.flat().forEach((value, index) => {
    image.data.set([value, value, value, 255], 4 * index);
  });
  context.putImageData(image, 0, 0);
}
// Mean of the pixels in the box [x0, x1) x [y0, y1), weighted by area.
function average(pixels, width, x0, x1, y0, y1) {
  let sum = 0, area = 0;
  for (let y = Math.floor(y0); y < y1; y++) {
    const high = Math.min(y + 1, y1) - Math.max(y, y0);
    for (let x = Math.floor(x0); x < x1; x++) {
      const part = high * (Math.min(x + 1, x1) - Math.max(x, x0));
      sum += part * (pixels[y * width + x] || 0);
      area += part;
    }
  }
  return area ? sum / area : 0;
}
const pad = {
  isEmpty: true, example: null, last: null, penDown: false, at: [140, 140],
  canvas: $("pad"),
  get context() { return this.canvas.getContext("2d", { willReadFrequently: true }); },
  clear() {
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.isEmpty = true;
    this.example = null;
    this.penDown = false;
    this.preview();
  },
  line(from, to) {
    if (this.example) this.clear();
    const context = this.context;
    context.strokeStyle = "#fff";
    context.lineWidth = 20;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(to[0] + .01, to[1]);
    context.stroke();
    this.isEmpty = false;
    this.preview();
  },
  show(rows) {
    const small = document.createElement("canvas");
    drawPixels(small, rows);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(small, 0, 0, this.canvas.width, this.canvas.height);
    this.isEmpty = false;
    this.example = rows;
    this.preview();
  },
  preview() { drawPixels($("downsampled"), this.rows()); },
  // As in MNIST: the strokes are scaled to a box of 20 of 28 pixels, with their centre of mass in
  // the middle. In small images (8x8) the digit fills the image.
  rows() {
    if (this.example) return this.example;
    const [rows, columns] = model.shape, width = this.canvas.width, height = this.canvas.height;
    const empty = Array.from({ length: rows }, () => new Array(columns).fill(0));
    if (this.isEmpty) return empty;
    const data = this.context.getImageData(0, 0, width, height).data;
    const pixels = Float32Array.from({ length: width * height }, (_, index) => data[4 * index]);
    let left = width, right = 0, top = height, bottom = 0;
    pixels.forEach((value, index) => {
      if (value < 32) return;
      const x = index % width, y = Math.floor(index / width);
      left = Math.min(left, x); right = Math.max(right, x + 1);
      top = Math.min(top, y); bottom = Math.max(bottom, y + 1);
    });
    if (left >= right) return empty;
    const fill = rows >= 20 ? 20 / 28 : 1;
    const scale = Math.max((right - left) / (columns * fill), (bottom - top) / (rows * fill));
    let middleX = (left + right) / 2, middleY = (top + bottom) / 2;
    if (fill < 1) {
      let mass = 0, sumX = 0, sumY = 0;
      pixels.forEach((value, index) => {
        mass += value;
        sumX += value * (index % width + .5);
        sumY += value * (Math.floor(index / width) + .5);
      });
      middleX = sumX / mass;
      middleY = sumY / mass;
    }
    return empty.map((row, r) => row.map((_, c) => {
      const x = middleX + (c - columns / 2) * scale, y = middleY + (r - rows / 2) * scale;
      return Math.round(average(pixels, width, Math.max(0, x), Math.min(width, x + scale),
        Math.max(0, y), Math.min(height, y + scale)));
    }));
  },
};
// As `lstm predict`: upright, gray, scaled with its proportions to the middle of the model's input,
// white where it is transparent, and filled up with the median of its border.
async function readImageFile(file) {
  const bitmap = await createImageBitmap(file), [rows, columns] = model.shape;
  const scale = Math.max(bitmap.height / rows, bitmap.width / columns);
  const height = Math.max(1, Math.round(bitmap.height / scale));
  const width = Math.max(1, Math.round(bitmap.width / scale));
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const data = context.getImageData(0, 0, width, height).data;
  const gray = (r, c) => {
    const at = 4 * (r * width + c);
    return Math.round(.299 * data[at] + .587 * data[at + 1] + .114 * data[at + 2]);
  };
  const border = [];
  for (let c = 0; c < width; c++) border.push(gray(0, c), gray(height - 1, c));
  for (let r = 0; r < height; r++) border.push(gray(r, 0), gray(r, width - 1));
  border.sort((a, b) => a - b);
  const filling = border[border.length >> 1];
  const top = (rows - height) >> 1, left = (columns - width) >> 1;
  return Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, c) => {
    const isInside = r >= top && r < top + height && c >= left && c < left + width;
    return isInside ? gray(r - top, c - left) : filling;
  }));
}
function position(event) {
  const box = pad.canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * pad.canvas.width, (event.clientY - box.top) / box.height * pad.canvas.height];
}
pad.canvas.addEventListener("pointerdown", (event) => {
  pad.canvas.setPointerCapture(event.pointerId);
  pad.last = position(event);
  pad.line(pad.last, pad.last);
  update(PREDICT_DELAY);
});
pad.canvas.addEventListener("pointermove", (event) => {
  if (!pad.last) return;
  const to = position(event);
  pad.line(pad.last, to);
  pad.last = to;
  update(PREDICT_DELAY);
});
for (const name of ["pointerup", "pointercancel"]) {
  pad.canvas.addEventListener(name, () => { pad.last = null; });
}
pad.canvas.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-14, 0], ArrowRight: [14, 0], ArrowUp: [0, -14], ArrowDown: [0, 14] };
  if (event.key === " ") {
    pad.penDown = !pad.penDown;
    if (pad.penDown) pad.line(pad.at, pad.at);
  } else if (event.key in moves) {
    const to = pad.at.map((value, axis) => Math.min(Math.max(value + moves[event.key][axis], 10), 270));
    if (pad.penDown) pad.line(pad.at, to);
    pad.at = to;
  } else if (event.key === "Delete" || event.key === "Backspace") {
    pad.clear();
  } else {
    return;
  }
  event.preventDefault();
  pad.canvas.setAttribute("aria-label", `Drawing area, pen ${pad.penDown ? "down" : "up"}, `
    + `${Math.round(pad.at[0] / 2.8)}% from the left, ${Math.round(pad.at[1] / 2.8)}% from the top`);
  update(PREDICT_DELAY);
});

// Input events

$("text-input").addEventListener("input", () => update(PREDICT_DELAY));
$("clear").addEventListener("click", () => { pad.clear(); update(); });
$("image-file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (!file) return;
  try {
    pad.show(await readImageFile(file));
  } catch {
    $("notice").hidden = false;
    $("notice").textContent = `${file.name} is not an image that this browser can read.`;
    return;
  }
  update();
});
$("tokens").addEventListener("pointerover", (event) => {
  if (event.target.dataset.step !== undefined) select(Number(event.target.dataset.step), false);
});
for (const id of ["tokens", "prefixes"]) {
  $(id).addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -1e9, End: 1e9 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    select(selected + steps[event.key]);
  });
}
addEventListener("resize", () => {
  if (!explanation) return;
  const index = selected;
  if (model.kind === "text") showLineChart(); else showHeatmap();
  selected = -1;
  select(index, false);
});
