// The prediction: its label, the probabilities of the classes, and the words with the largest effect.

const NUM_TOP = 6, MAX_NAME = 13, NUM_EFFECTS = 8, LONG_LABEL = 24;

function showClasses(prediction) {
  $("label").textContent = prediction ? headline(prediction) : "–";
  $("label").classList.toggle("long", $("label").textContent.length > LONG_LABEL);
  const isMultiLabel = Boolean(model.thresholds), isOne = prediction && prediction.label && !isMultiLabel;
  $("confidence").textContent = isOne ? percent(prediction.probabilities[prediction.label]) : "";
  const shown = shownClasses(prediction);
  const longest = Math.max(...shown.map(([label]) => label.length));
  $("classes").classList.toggle("stacked", longest > MAX_NAME);
  setNameWidth($("classes"), shown.map(([label]) => label));
  const rows = shown.map(([label, p]) => {
    const isChosen = Boolean(prediction) && (isMultiLabel ? prediction.labels.includes(label) : prediction.label === label);
    return classRow(label, p, prediction ? { isChosen, isMultiLabel } : null);
  });
  const numOthers = model.labels.length - shown.length;
  if (numOthers) rows.push(createElement("p", `and ${numOthers} ${prediction ? "less probable " : ""}${isMultiLabel ? "labels" : "classes"}`, { class: "soft" }));
  $("classes").replaceChildren(...rows);
  $("hint").hidden = Boolean(prediction) || !isEmpty();
  $("hint").textContent = `The prediction appears here as you ${model.kind === "text" ? "type" : "draw"}.`;
  $("counts").textContent = prediction ? describeInput(prediction) : "";
}
// One width for the names of all rows, so that their bars begin at the same place.
function setNameWidth(list, names) {
  const size = (name) => Array.from(name).reduce((sum, character) => sum + (character >= "\u2e80" ? 1.1 : .68), 0);
  list.style.setProperty("--name", `${(Math.max(...names.map(size)) + .5).toFixed(1)}em`);
}
function shownClasses(prediction) {
  const shown = prediction ? Object.entries(prediction.probabilities)
    : model.labels.slice(0, MAX_CLASSES).map((label) => [label, 0]);
  // In the order of the run's labels, so that bars do not move while the user types.
  if (model.labels.length <= MAX_CLASSES) {
    return shown.sort((a, b) => model.labels.indexOf(a[0]) - model.labels.indexOf(b[0]));
  }
  // JavaScript puts keys that are numbers first, in ascending order.
  shown.sort((a, b) => b[1] - a[1]);
  return shown.slice(0, Math.max(NUM_TOP, prediction && prediction.labels ? prediction.labels.length : 0));
}
function classRow(label, p, shown) {
  const row = createElement("div", null, { class: "class" }), track = createElement("div", null, { class: "track", "aria-hidden": "true" });
  const fill = createElement("div", null, { class: "fill" });
  fill.style.width = percent(p);
  track.append(fill);
  if (shown && shown.isMultiLabel) {
    const mark = createElement("div", null, { class: "threshold" });
    mark.style.left = percent(model.thresholds[label]);
    track.append(mark);
    row.append(labelButton(label, shown.isChosen));
  } else {
    row.append(createElement("span", label, { class: "name", title: label, dir: "auto" }));
  }
  row.classList.toggle("chosen", Boolean(shown && shown.isChosen));
  row.append(track, createElement("span", shown ? percent(p) : "", { class: "value" }));
  return row;
}
function describeInput(prediction) {
  const parts = [];
  if (prediction.num_tokens !== undefined) {
    parts.push(`${prediction.num_tokens} tokens, ${prediction.unknown ? `${percent(prediction.unknown)} of them unknown` : "all known"}`
      + (prediction.truncated ? `; the middle is left out (the model reads ${model.max_tokens} tokens)` : ""));
  }
  if (!prediction.label && !prediction.labels) parts.push("No class is probable enough for an answer");
  return parts.join(". ");
}
function headline(prediction) {
  // The label is empty if no class is probable enough for an answer.
  if (!prediction.labels) return prediction.label || "No answer";
  return prediction.labels.join(", ") || "no label";
}
// One label is explained at a time: a click on its name chooses it.
function labelButton(label, isPredicted) {
  const title = `Explain “${label}” (${isPredicted ? "" : "not "}predicted, threshold ${percent(model.thresholds[label])})`;
  const isPressed = String(explainedLabel === label);
  const button = createElement("button", label, { type: "button", class: "name", title, dir: "auto", "aria-pressed": isPressed });
  button.addEventListener("click", () => {
    explainedLabel = explainedLabel === label ? null : label;
    update();
  });
  return button;
}

// Words with the largest effect; a click selects a word in the text.
function showEffects() {
  $("effects-panel").hidden = !explanation;
  if (!explanation) return;
  const { effects } = explanation.token_effects, { tokens } = explanation;
  const order = effects.map((_, step) => step).filter((step) => tokens[step].text !== SEPARATOR)
    .sort((a, b) => Math.abs(effects[b]) - Math.abs(effects[a])).slice(0, NUM_EFFECTS);
  const largest = Math.max(...order.map((step) => Math.abs(effects[step])), 1e-9);
  setNameWidth($("effects"), order.map((step) => tokens[step].text));
  $("effects").replaceChildren(...order.map((step) => {
    const item = createElement("li"), button = createElement("button", null, { type: "button" });
    const bar = createElement("div", null, { class: "diverging", "aria-hidden": "true" });
    const fill = createElement("div", null, { class: effects[step] >= 0 ? "for" : "against" });
    fill.style.width = `${(50 * Math.abs(effects[step]) / largest).toFixed(1)}%`;
    bar.append(fill);
    button.append(createElement("span", tokens[step].text, { class: "word", dir: "auto" }), bar,
      createElement("span", signed(effects[step]), { class: "value" }));
    button.addEventListener("click", () => {
      select(step);
      showWord(step);
      if (wordSpan(step)) showTip(wordSpan(step));
    });
    item.append(button);
    return item;
  }));
}
