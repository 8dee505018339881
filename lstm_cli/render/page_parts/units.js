// The LSTM units that contribute most: their gates and cell state over all steps, and the numbers at the selected step.

const GATES = { "Input": "input_gate", "Forget": "forget_gate", "Output": "output_gate", "Cell": "cell" };
let gateValues = [];  // { element, values, format } for each number
let cursors = [];

function stepUnit() { return model.kind === "text" ? "token" : rowsOfStep() > 1 ? "step" : "row"; }
function showUnits() {
  const { gates } = explanation;
  gateValues = [];
  cursors = [];
  $("gates").replaceChildren(...gates.units.map(unitCard));
}
function unitCard(unit) {
  const card = createElement("div", null, { class: "unit", role: "group", "aria-label": `${unit.direction} unit ${unit.index}` });
  const title = createElement("p", null, { class: "unit-title" }), rows = createElement("div", null, { class: "unit-rows" });
  title.append(createElement("b", `${unit.direction === "backward" ? "←" : "→"}\u00a0${unit.index}`, { title: `${unit.direction} unit ${unit.index}` }),
    createElement("span", `${signed(unit.contribution)} to the score`),
    createElement("span", `memory ${unit.memory.toFixed(1)} ${stepUnit()}s`, { class: "soft" }));
  for (const [name, key] of Object.entries(GATES)) {
    const values = unit[key], element = createElement("span", "", { class: "value" });
    const strip = createElement("div", null, { class: key === "cell" ? "strip line" : "strip", "aria-hidden": "true" });
    const cursor = createElement("div", null, { class: "cursor" });
    strip.append(key === "cell" ? cellLine(values) : gateStrip(values), cursor);
    cursors.push(cursor);
    gateValues.push({ element, values, format: key === "cell" ? signed : (value) => value.toFixed(2) });
    rows.append(createElement("span", name, { class: "name" }), strip, element);
  }
  card.append(title, rows);
  return card;
}
// A pixel for each step: the stronger, the more open.
function gateStrip(values) {
  const canvas = createElement("canvas"), context = canvas.getContext("2d");
  canvas.width = values.length;
  canvas.height = 1;
  const colour = getComputedStyle(document.documentElement).getPropertyValue("--for").trim();
  values.forEach((value, step) => {
    context.fillStyle = `rgb(${colour} / ${value.toFixed(3)})`;
    context.fillRect(step, 0, 1, 1);
  });
  return canvas;
}
function cellLine(values) {
  const limit = Math.max(...values.map(Math.abs), 1e-9), svg = createSvg("svg", { viewBox: `0 0 ${values.length} 20`, preserveAspectRatio: "none" });
  const points = values.map((value, step) => `${step + .5},${(10 - 9 * value / limit).toFixed(2)}`);
  if (points.length === 1) points.push(`1,${points[0].split(",")[1]}`);
  svg.append(createSvg("path", { d: `M0 10H${values.length}` }), createSvg("polyline", { points: points.join(" ") }));
  return svg;
}
function moveGates(step) {
  const { gates, prefixes: { steps } } = explanation, unit = stepUnit();
  const name = model.kind === "text" ? `“${shorten(explanation.tokens[step].text, 24)}” (token ${step + 1})` : `${unit} ${step + 1}`;
  $("gates-help").textContent = `The units that contribute most to “${explanation.prediction.label}”${gates.runner_up ? ` against “${gates.runner_up}”` : ""}; `
    + `the numbers are those at ${name}. A gate is the stronger, the more open it is (0 to 1). The median unit of the last layer has a memory of ${gates.memory.toFixed(1)} ${unit}s.`;
  for (const { element, values, format } of gateValues) element.textContent = format(values[step]);
  for (const cursor of cursors) {
    cursor.style.left = percent(step / steps.length);
    cursor.style.width = percent(1 / steps.length);
  }
}
