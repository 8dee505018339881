// The probability after each token as a line, or after each row of an image as a heat map.

const HEIGHT = 168, MIN_SLOT = 15, FLAT_SLOT = 52, CHARACTER = 6.6, WIDE = 12.5;  // pixels
const NUM_CHARACTERS = 10;  // of a slanting name

function labelIndex() { return model.labels.indexOf(explanation.prediction.label); }
function showLineChart() {
  const { steps, start } = explanation.prefixes, values = steps.map((row) => row[labelIndex()]);
  const width = $("prefixes").clientWidth, left = 38, right = 12, top = 20, slot = (width - left - right) / steps.length;
  const names = slot >= MIN_SLOT ? explanation.tokens.map((token) => visible(token.text)) : [];
  const longest = Math.max(0, ...names.map(textWidth)), isFlat = slot >= Math.min(FLAT_SLOT, longest + 5);
  const bottom = !names.length ? 8 : isFlat ? 24 : 20 + .77 * Math.min(longest, NUM_CHARACTERS * CHARACTER), height = HEIGHT - 8 + bottom;
  // A token is above its name; the line begins at the probability before the first one.
  const x = (step) => left + slot * (step + .5), y = (p) => top + (height - top - bottom) * (1 - p);
  const svg = createSvg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  for (const p of [0, 0.5, 1]) {
    svg.append(createSvg("line", { class: "grid", x1: left, x2: width - right, y1: y(p), y2: y(p) }),
      createSvg("text", { x: left - 6, y: y(p) + 4, "text-anchor": "end" }, 100 * p + "%"));
  }
  if (model.thresholds) {
    const p = model.thresholds[explanation.prediction.label];
    svg.append(createSvg("line", { class: "limit", x1: left, x2: width - right, y1: y(p), y2: y(p) }),
      createSvg("text", { class: "halo", x: width - right, y: y(p) - 5, "text-anchor": "end" }, "threshold"));
  }
  const points = values.map((p, step) => `${x(step).toFixed(1)},${y(p).toFixed(1)}`);
  if (start) points.unshift(`${left},${y(start[labelIndex()]).toFixed(1)}`);
  const first = points[0].split(",")[0], last = x(steps.length - 1);
  svg.append(createSvg("polygon", { class: "area", points: `${first},${y(0)} ${points.join(" ")} ${last},${y(0)}` }),
    createSvg("polyline", { class: "probability", points: points.join(" ") }));
  names.forEach((name, step) => svg.append(tokenName(name, x(step), height - bottom + 16, isFlat ? slot : 0)));
  for (const swing of largeSwings()) svg.append(...swingMark(swing, x(swing.step), y(swing.after), { left, width: width - right }));
  const line = createSvg("line", { class: "selected-line", y1: top, y2: height - bottom }), dot = createSvg("circle", { class: "dot", r: 4 });
  svg.append(line, dot);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) / box.width * width;
    select(Math.floor((at - left) / slot));
  });
  svg.move = (step) => {
    for (const name of ["x1", "x2"]) line.setAttribute(name, x(step));
    dot.setAttribute("cx", x(step));
    dot.setAttribute("cy", y(values[step]));
    svg.querySelectorAll(".token").forEach((name, place) => name.classList.toggle("mark", place === step));
  };
  $("prefixes").replaceChildren(svg);
  $("prefixes-title").textContent = `Probability of “${explanation.prediction.label}” after each token`;
  $("prefixes-help").textContent = `The model reads the text up to this token. ${describeSwings("token")}`;
}
// About, in pixels; Chinese and Japanese characters are wide.
function textWidth(text) {
  return Array.from(text).reduce((sum, character) => sum + (character >= "\u2e80" ? WIDE : CHARACTER), 0);
}
// Below the chart and its point: flat if there is room, else slanting.
function tokenName(name, x, y, slot) {
  if (slot) return createSvg("text", { class: "token", x, y, "text-anchor": "middle" }, textWidth(name) > slot ? shorten(name, Math.floor(slot / CHARACTER)) : name);
  const place = { class: "token", x: x + 5, y: y - 4, "text-anchor": "end", transform: `rotate(-50 ${x + 5} ${y - 4})` };
  return createSvg("text", place, shorten(name, NUM_CHARACTERS));
}
// The word at which the probability changes most, beside its dot.
function swingMark(swing, x, y, { left, width }) {
  const name = explanation.prefixes.window > 1 ? "" : shorten(explanation.tokens[swing.step].text, 16);
  const room = name.length * 3.6, at = Math.max(left + room, Math.min(x, width - room));
  const isAbove = swing.after > swing.before ? y > 24 : y > HEIGHT - 44;
  return [createSvg("circle", { class: "swing", cx: x, cy: y, r: 4.5 }),
    createSvg("text", { class: "mark halo", x: at, y: isAbove ? y - 9 : y + 19, "text-anchor": "middle" }, name)];
}
// The largest fall and rise of at least 5 percentage points, in input order.
function largeSwings() {
  const { drop, rise } = explanation.prefixes.swings;
  return [drop, rise].filter((swing) => swing && Math.abs(swing.after - swing.before) >= 0.05)
    .sort((a, b) => a.step - b.step);
}
// What is selected at first: the word with the largest effect, or the row at which the probability changes most.
function startStep() {
  if (model.kind === "text") {
    const sizes = explanation.token_effects.effects.map(Math.abs);
    return sizes.indexOf(Math.max(...sizes));
  }
  const [first] = largeSwings();
  return first ? first.step : explanation.prefixes.steps.length - 1;
}
function describeSwings(unit) {
  const parts = largeSwings().map((swing) => `${swing.after > swing.before ? "rises" : "falls"} most at `
    + `${stepName(unit, swing.step)}, from ${percent(swing.before)} to ${percent(swing.after)}`);
  return parts.length ? `The probability ${parts.join(", and ")}.` : "The probability changes by less than 5 percentage points.";
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
  const room = $("prefixes").clientWidth, side = Math.min(room / 2, 300), gap = 14, num = model.labels.length;
  const wide = Math.min((room - side - gap) / num, 64), width = side + gap + num * wide;
  const steps = explanation.prefixes.steps, size = side / pad.rows().length, height = side + 18, between = size > 8 ? 1 : 0;
  const svg = createSvg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  svg.style.maxWidth = `${width}px`;
  const rows = pad.rows(), columns = rows[0].length;
  rows.forEach((row, r) => row.forEach((value, c) => {
    svg.append(createSvg("rect", {
      x: c * side / columns, y: 18 + r * size, width: side / columns + .3, height: size + .3,
      fill: `rgb(${value},${value},${value})`,
    }));
  }));
  model.labels.forEach((label, c) => {
    const place = { x: side + gap + wide * (c + .5), y: 12, "text-anchor": "middle" };
    svg.append(createSvg("text", place, label.slice(0, Math.max(1, Math.floor(wide / 7)))));
    steps.forEach((row, step) => {
      const [start, end] = newRows(step);
      svg.append(createSvg("rect", {
        class: "cell", x: side + gap + wide * c + 1, y: 18 + start * size, width: wide - 2,
        height: (end - start) * size - between, "fill-opacity": row[c].toFixed(3),
      }));
    });
  });
  svg.append(createSvg("rect", { class: "cell-grid", x: side + gap, y: 18, width: wide * num, height: side }));
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
  $("prefixes").replaceChildren(svg);
  $("prefixes-title").textContent = `Probability of each class after each ${rowsOfStep() > 1 ? "step" : "row"}`;
  const every = rowsOfStep() > 1 ? `each step of ${rowsOfStep()} rows, beside the rows that it is the first to read` : "each row";
  $("prefixes-help").textContent = `The probability of each class after ${every}, from the top; a stronger colour is a `
    + `higher probability. “${explanation.prediction.label}”: ${describeSwings("row")} Point at a row, or use the arrow keys.`;
}
