// The input of a text. Each field lies over a copy of its text in which the words have the colours of their effects.
// The field itself is never written to while a person types, so that composing (IME), undoing, spell checkers and texts
// from right to left work as in any other field. The copy gives the field its height, and both scroll together.

const MIN_SHARE = .12;  // of the largest effect; a word below it has no colour, as with `lstm explain`
let fields = [];  // { area, paint, text, marks }; a mark is a part of the text: { start, end, step, effect, known }

function makeFields() {
  const columns = (model.text_columns || []).length > 1 ? model.text_columns : [null];
  fields = columns.map((column, index) => {
    const area = createElement("textarea", null, { id: column === null ? "text" : `text-${index}`, spellcheck: "false", dir: "auto",
      rows: "1", autocapitalize: "off", placeholder: column === null ? "Type or paste a text" : "" });
    if (column === null) area.setAttribute("aria-label", "Text");
    return { column, area, paint: createElement("div", null, { class: "paint", "aria-hidden": "true" }), text: "", marks: [] };
  });
  $("text-input").classList.toggle("columns", fields.length > 1);
  $("text-input").replaceChildren(...fields.flatMap((field) => {
    const editor = createElement("div", null, { class: "editor" }), layers = createElement("div", null, { class: "layers" });
    layers.append(field.paint, field.area);
    editor.append(layers);
    field.area.addEventListener("input", () => { carryMarks(field); hideTip(); markExample(-1); update(PREDICT_DELAY); });
    field.area.addEventListener("pointermove", (event) => pointAt(field, event));
    field.area.addEventListener("pointerleave", hideTip);
    field.area.addEventListener("blur", hideTip);
    return field.column === null ? [editor] : [createElement("label", field.column, { for: field.area.id }), editor];
  }));
  fields.forEach(paint);
}
function textValue() {
  const values = fields.map((field) => field.area.value);
  if (values.length === 1) return values[0];
  return Object.fromEntries(values.map((value, index) => [fields[index].column, value]));
}
// In the text of an example or an explanation, the separator is between the columns.
function fillText(text) {
  const values = fields.length > 1 ? text.split(SEPARATOR).map((value) => value.trim()) : [text];
  fields.forEach((field, index) => {
    field.area.value = values[index] || "";
    field.area.parentNode.parentNode.scrollTop = 0;
    carryMarks(field);
  });
}

// While an answer is on its way, the words before and after the change keep their colours.
function carryMarks(field) {
  const { text: before, marks } = field, text = field.area.value, most = Math.min(before.length, text.length);
  let head = 0, tail = 0;
  while (head < most && before[head] === text[head]) head++;
  while (tail < most - head && before[before.length - 1 - tail] === text[text.length - 1 - tail]) tail++;
  const shift = text.length - before.length;
  field.marks = marks.flatMap((mark) => {
    if (mark.end <= head) return [mark];
    return mark.start >= before.length - tail ? [{ ...mark, start: mark.start + shift, end: mark.end + shift }] : [];
  });
  field.text = text;
  paint(field);
}
function paint(field) {
  const parts = [];
  let end = 0;
  for (const mark of field.marks) {
    if (mark.start > end) parts.push(document.createTextNode(field.text.slice(end, mark.start)));
    // "½" holds three tokens: the first one shows it.
    const span = createElement("span", field.text.slice(Math.max(end, mark.start), mark.end));
    if (mark.step === undefined) {
      span.className = "truncated";
    } else {
      span.dataset.step = mark.step;
      span.classList.toggle("unknown", !mark.known);
      span.style.backgroundColor = effectColour(mark.strength);
    }
    parts.push(span);
    end = Math.max(end, mark.end);
  }
  // A line break at the end has no height without something after it.
  parts.push(document.createTextNode(field.text.slice(end) + "\u200b"));
  field.paint.dir = getComputedStyle(field.area).direction;
  field.paint.replaceChildren(...parts);
}
// From -1, against the label, to 1. What has an effect has a colour that is seen on a dark page, too.
function effectColour(strength) {
  const size = Math.abs(strength), share = size < MIN_SHARE ? 0 : .25 + .75 * size;
  return `rgb(var(--${strength >= 0 ? "for" : "against"}) / calc(var(--max-opacity) * ${share.toFixed(3)}))`;
}
function paintWords() {
  const places = explanation ? fieldPlaces() : [];
  fields.forEach((field, index) => {
    field.text = field.area.value;
    field.marks = places[index] || [];
    paint(field);
  });
  $("legend").hidden = !explanation;
  if (!explanation) return;
  const { prediction: { label }, token_effects: { window }, truncated_span: isTruncated, tokens } = explanation;
  $("tokens-help").textContent = `Blue supports “${label}”, orange is against it. `
    + (tokens.every((token) => token.known) ? "" : "Words with a dotted line are not in the vocabulary. ")
    + (isTruncated ? "The model does not read the striped part. " : "")
    + (window > 1 ? `${window} adjacent tokens share one colour. ` : "") + "Point at a word, or move the cursor to it.";
}
// The tokens of each field. Places in an explanation count characters of all columns; fields count UTF-16 units.
function fieldPlaces() {
  const characters = Array.from(explanation.text), places = [0], { effects } = explanation.token_effects;
  for (const character of characters) places.push(places[places.length - 1] + character.length);
  const largest = Math.max(...effects.map(Math.abs), 1e-9);
  const marks = explanation.tokens.map((token, step) => ({
    start: places[token.start], end: places[token.end], step, known: token.known, strength: effects[step] / largest,
  }));
  const span = explanation.truncated_span;
  if (span) marks.push({ start: places[span[0]], end: places[span[1]] });
  marks.sort((a, b) => a.start - b.start);
  let first = 0;
  return fields.map(({ area }) => {
    const start = first, end = start + area.value.length;
    first = end + ` ${SEPARATOR} `.length;
    return marks.filter((mark) => mark.start < end && mark.end > start)
      .map((mark) => ({ ...mark, start: Math.max(mark.start, start) - start, end: Math.min(mark.end, end) - start }));
  });
}

// The selected word, and what is known of it, beside it

function wordSpan(step) {
  return $("text-input").querySelector(`[data-step="${step}"]`);
}
function markWord(step) {
  $("text-input").querySelectorAll(".selected").forEach((span) => span.classList.remove("selected"));
  const span = wordSpan(step);
  if (span) span.classList.add("selected");
}
// Scrolls the field, not the page.
function showWord(step) {
  const span = wordSpan(step);
  if (!span) return;
  const editor = span.closest(".editor"), word = span.getBoundingClientRect(), box = editor.getBoundingClientRect();
  if (word.top < box.top) editor.scrollTop -= box.top - word.top + 8;
  if (word.bottom > box.bottom) editor.scrollTop += word.bottom - box.bottom + 8;
}
function pointAt(field, event) {
  if (!explanation || event.buttons) return;
  const span = document.elementsFromPoint(event.clientX, event.clientY)
    .find((element) => field.paint.contains(element) && element.dataset.step !== undefined);
  if (!span) return hideTip();
  select(Number(span.dataset.step));
  showTip(span);
}
function showTip(span) {
  const [word] = span.getClientRects();
  if (!word) return;
  const step = Number(span.dataset.step), { steps, start } = explanation.prefixes, index = labelIndex();
  const tip = $("tip"), token = explanation.tokens[step], before = step ? steps[step - 1] : start;
  const known = token.known ? "" : token.read_as ? ` (read as “${token.read_as}”)` : " (not in the vocabulary)";
  tip.replaceChildren(createElement("b", `${signed(explanation.token_effects.effects[step])} log-odds`), document.createTextNode(known),
    createElement("br"), document.createTextNode(`“${shorten(explanation.prediction.label, 24)}”: `
      + `${before ? `${percent(before[index])} → ` : ""}${percent(steps[step][index])} after it`));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect(), room = document.documentElement.clientWidth - 8;
  const left = Math.max(8, Math.min(word.left + word.width / 2 - width / 2, room - width));
  const top = word.top > height + 12 ? word.top - height - 6 : word.bottom + 6;
  tip.style.transform = `translate(${Math.round(left + scrollX)}px, ${Math.round(top + scrollY)}px)`;
}
function hideTip() { $("tip").hidden = true; }
addEventListener("scroll", hideTip, true);

// The cursor of the keyboard selects the word that it is in.
document.addEventListener("selectionchange", () => {
  const field = fields.find(({ area }) => area === document.activeElement);
  if (!field || !explanation || field.area.value !== field.text) return;
  const place = field.area.selectionStart;
  if (place !== field.area.selectionEnd) return;
  const mark = field.marks.find(({ start, end, step }) => step !== undefined && start <= place && place < end)
    || field.marks.find(({ end, step }) => step !== undefined && end === place);
  if (!mark) return;
  select(mark.step);
  const span = wordSpan(mark.step);
  if (span && !document.body.classList.contains("pending")) showTip(span);
});
