// Explanations: `explain/occlusion.py`, `explain/prefixes.py` and the gates of `explain/explainer.py`.

const NUM_UNITS = 6, MAX_PRODUCTS = 2e9, MIN_PROBABILITY = 2 ** -24;

// An explanation in the form of `/v1/explain`. It waits for `pause` between its parts.
async function explainInput(classifier, input, shown, pause) {
  const { labels } = classifier.config, { trace, probabilities } = classifier.run(input);
  const chosen = shown.index;
  const values = await prefixes(classifier, trace, input, pause);
  return {
    prediction: { label: labels[chosen] },
    prefixes: { ...values, swings: findSwings(values, chosen) },
    gates: findGates(classifier, trace, probabilities, chosen),
    ...(input.steps ? { windows: input.windows } : {
      text: shown.text, tokens: describeTokens(classifier, input, shown.text), truncated_span: truncatedSpan(classifier, input, shown.text),
      token_effects: await occlude(classifier, trace, input, probabilities, chosen, pause),
    }),
  };
}

// Neighbouring tokens of long texts are taken together, so that an explanation takes about a second.
function windowSize({ units, directions, config }, length) {
  const products = 1.5 * length * length * 4 * units * units * directions.length * config.model.layers;
  return Math.max(1, Math.ceil(products / MAX_PRODUCTS));
}

// The effect of a token: how much the log-odds fall if [UNK] replaces it.
async function occlude(classifier, trace, input, probabilities, chosen, pause) {
  const window = windowSize(classifier, input.length), score = logOdds(classifier, probabilities, chosen), effects = [];
  for (let start = 0; start < input.length; start += window) {
    const end = Math.min(start + window, input.length), isMasked = (place) => place >= start && place < end;
    const masked = {
      ...input, ids: input.ids.map((id, place) => (isMasked(place) ? UNKNOWN_ID : id)),
      ngrams: input.ngrams.map((ngrams, place) => (isMasked(place) ? null : ngrams)),
    };
    const found = classifier.probabilities(classifier.variant(trace, masked, input.length, start, end));
    for (let place = start; place < end; place++) effects.push(score - logOdds(classifier, found, chosen));
    await pause();
  }
  return { effects, window };
}
function logOdds(classifier, probabilities, chosen) {
  const p = probabilities[chosen];
  if (classifier.config.multi_label) {
    const exact = Math.min(Math.max(p, MIN_PROBABILITY), 1 - MIN_PROBABILITY);
    return Math.log(exact / (1 - exact));
  }
  const least = probabilities.length === 2 ? MIN_PROBABILITY : 1e-38;
  const others = probabilities.reduce((sum, value, index) => (index === chosen ? sum : sum + value), 0);
  return Math.log(Math.max(p, least) / Math.max(others, least));
}

// The probabilities after each token or step, as if the input ended there.
async function prefixes(classifier, trace, input, pause) {
  const window = input.steps ? 1 : windowSize(classifier, input.length), steps = [];
  for (let start = 0; start < input.length; start += window) {
    const end = Math.min(start + window, input.length);
    const found = classifier.probabilities(classifier.variant(trace, input, end, end, input.length));
    for (let place = start; place < end; place++) steps.push(found);
    await pause();
  }
  const empty = { ids: [UNKNOWN_ID], ngrams: [null], length: 1 };
  return { start: input.steps ? null : classifier.run(empty).probabilities, steps, window };
}
function findSwings({ start, steps }, chosen) {
  const values = [...(start ? [start] : []), ...steps].map((row) => row[chosen]), numBefore = start ? 1 : 0;
  let drop = null, rise = null;
  for (let place = 1; place < values.length; place++) {
    const swing = { step: place - numBefore, before: values[place - 1], after: values[place] }, change = swing.after - swing.before;
    if (change < 0 && (!drop || change < drop.after - drop.before)) drop = swing;
    if (change > 0 && (!rise || change > rise.after - rise.before)) rise = swing;
  }
  return { drop, rise };
}

// The units that add most to the score: the logit of the class against that of the runner-up.
function findGates(classifier, trace, probabilities, chosen) {
  const { config, units, outputs } = classifier, { length } = trace, runnerUp = config.multi_label ? -1
    : probabilities.reduce((best, p, index) => (index !== chosen && (best < 0 || p > probabilities[best]) ? index : best), -1);
  const weight = (k) => {
    if (outputs === 1 && !config.multi_label) return chosen ? 1 : -1;
    return k === chosen ? 1 : k === runnerUp ? -1 : 0;
  };
  const kernel = classifier.arrays["head/kernel"], pooled = classifier.pool(trace), width = units * trace.states.length;
  const numPools = config.model.pooling === "max_mean" ? 2 : 1, added = new Array(width).fill(0);
  for (let row = 0; row < numPools * width; row++) {
    for (let k = 0; k < outputs; k++) added[row % width] += pooled[row] * kernel[row * outputs + k] * weight(k);
  }
  const memories = added.map((_, place) => memory(trace, Math.floor(place / units), place % units, units));
  const order = added.map((_, place) => place).sort((a, b) => Math.abs(added[b]) - Math.abs(added[a])).slice(0, NUM_UNITS);
  const top = order.map((place) => {
    const state = trace.states[Math.floor(place / units)], index = place % units;
    const values = (part) => Array.from({ length }, (_, step) => state[part][step * units + index]);
    return { direction: state.isBackward ? "backward" : "forward", index, contribution: added[place], memory: memories[place],
      input_gate: values("i"), forget_gate: values("f"), output_gate: values("o"), cell: values("c") };
  });
  const sorted = [...memories].sort((a, b) => a - b);
  return { runner_up: runnerUp < 0 ? "" : config.labels[runnerUp],
    memory: (sorted[(width - 1) >> 1] + sorted[width >> 1]) / 2, units: top };
}
// Steps that a unit remembers, from its mean forget gate.
function memory(trace, direction, unit, units) {
  let sum = 0;
  for (let step = 0; step < trace.length; step++) sum += trace.states[direction].f[step * units + unit];
  return 1 / Math.max(1 - sum / trace.length, MIN_PROBABILITY);
}

// The tokens that the model reads, with their places in the text, in characters (code points).
function describeTokens({ tokenizer }, input, text) {
  const spans = tokenizer.spans(text), characters = Array.from(text);
  return input.kept.map((place, step) => {
    const [start, end] = spans[place], id = input.ids[step];
    return { text: characters.slice(start, end).join(""), start, end, known: id !== UNKNOWN_ID && id < READ_AS,
      read_as: id >= READ_AS ? tokenizer.words[id - READ_AS] : null };
  });
}
function truncatedSpan({ tokenizer }, input, text) {
  if (!input.truncated) return null;
  const spans = tokenizer.spans(text), head = Math.floor((tokenizer.settings.max_tokens + 1) / 2), tail = spans.length - Math.floor(tokenizer.settings.max_tokens / 2);
  const start = Math.max(spans[head][0], spans[head - 1][1]);
  const end = tail < spans.length ? Math.min(spans[tail - 1][1], spans[tail][0]) : spans[tail - 1][1];
  return start < end ? [start, end] : null;
}
