// The classifier: the equations of `models/lstm_equations.py`, `models/regions.py`, `models/region_embedding.py`,
// `text/ngrams.py` and `explain/forward_pass.py`, for one input at a time.
//
// A variant of an input, without some token or without its end, shares most states with the input itself. So a variant is
// computed from the first state that differs until the states are the same again.

const BIGRAM_FACTOR = 32749, TRIGRAM_MODULUS = 65521, SAME = 1e-5;

// out[at..at + num) += factor * table[from..from + num)
function addScaled(out, at, table, from, factor, num) {
  for (let k = 0; k < num; k++) out[at + k] += factor * table[from + k];
}

// A table of `num` columns, with four columns beside each other: so that the four sums of a product stay in registers, and
// the numbers that it reads follow each other.
function pack(table, num) {
  const rows = table.length / num, values = new Float32Array(Math.ceil(num / 4) * 4 * rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < num; column++) values[((column >> 2) * rows + row) * 4 + (column & 3)] = table[row * num + column];
  }
  return { values, rows, num };
}
function addFour(out, to, left, a, b, c, d) {
  out[to] += a;
  if (left > 1) out[to + 1] += b;
  if (left > 2) out[to + 2] += c;
  if (left > 3) out[to + 3] += d;
}

// out[at..] += x[from..from + dim) times the rows of a table, from row `first` on.
function addProduct(out, at, x, from, dim, { values, rows, num }, first) {
  const end = from + dim;
  for (let n = 0; n < num; n += 4) {
    let k = n * rows + first * 4, a = 0, b = 0, c = 0, d = 0;
    for (let place = from; place < end; place++, k += 4) {
      const value = x[place];
      a += value * values[k];
      b += value * values[k + 1];
      c += value * values[k + 2];
      d += value * values[k + 3];
    }
    addFour(out, at + n, num - n, a, b, c, d);
  }
}

// The same for steps from `start` to `length`, whose inputs of `dim` numbers end `stride` numbers after each other: the first
// at (start + 1) * stride. Three steps share what is read of the table; more sums than twelve have no registers.
function addProducts(out, x, stride, dim, start, length, table) {
  const { values, rows, num } = table, stride2 = 2 * stride;
  let step = start;
  for (; step + 3 <= length; step += 3) {
    const end = (step + 1) * stride;
    for (let n = 0; n < num; n += 4) {
      let k = n * rows, a = 0, b = 0, c = 0, d = 0, a1 = 0, b1 = 0, c1 = 0, d1 = 0, a2 = 0, b2 = 0, c2 = 0, d2 = 0;
      for (let place = end - dim; place < end; place++, k += 4) {
        const value = x[place], value1 = x[place + stride], value2 = x[place + stride2];
        const p = values[k], q = values[k + 1], r = values[k + 2], s = values[k + 3];
        a += value * p;
        b += value * q;
        c += value * r;
        d += value * s;
        a1 += value1 * p;
        b1 += value1 * q;
        c1 += value1 * r;
        d1 += value1 * s;
        a2 += value2 * p;
        b2 += value2 * q;
        c2 += value2 * r;
        d2 += value2 * s;
      }
      const to = step * num + n, left = num - n;
      addFour(out, to, left, a, b, c, d);
      addFour(out, to + num, left, a1, b1, c1, d1);
      addFour(out, to + 2 * num, left, a2, b2, c2, d2);
    }
  }
  for (; step < length; step++) addProduct(out, step * num, x, (step + 1) * stride - dim, dim, table, 0);
}

// Gates and states of a step from the sums of its gates: `before` is the place of the states `from`; null for zeros.
function updateStates(sums, units, peepholes, from, before, to, at) {
  const { i, f, o, c, h } = to;
  for (let j = 0; j < units; j++) {
    const previous = from ? from.c[before + j] : 0;
    let sumI = sums[j], sumF = sums[units + j], sumO = sums[3 * units + j];
    if (peepholes) {
      sumI += peepholes[j] * previous;
      sumF += peepholes[units + j] * previous;
    }
    const input = sigmoid(sumI), forget = sigmoid(sumF), cell = forget * previous + input * Math.tanh(sums[2 * units + j]);
    if (peepholes) sumO += peepholes[2 * units + j] * cell;
    const output = sigmoid(sumO);
    i[at + j] = input;
    f[at + j] = forget;
    o[at + j] = output;
    c[at + j] = cell;
    h[at + j] = output * Math.tanh(cell);
  }
}

class Classifier {
  // arrays: by the names of weights.safetensors; a vocabulary row, kernel row or bias after another.
  constructor(config, arrays, tokenizer) {
    this.config = config;
    this.arrays = arrays;
    this.tokenizer = tokenizer;
    const { embedding, model, image } = config;
    this.units = model.units;
    this.directions = model.bidirectional ? ["forward", "backward"] : ["forward"];
    this.dim = image ? image.window * image.shape[1]
      : embedding.dim + (embedding.bigram_buckets ? embedding.bigram_dim : 0) + embedding.region_widths.length * embedding.region_dim;
    this.outputs = arrays["head/bias"].length;
    this.tables = {};
    for (const name of Object.keys(arrays)) {
      if (!/^(lstm|regions)_.*kernel$/.test(name)) continue;
      this.tables[name] = pack(arrays[name], name.startsWith("lstm_") ? 4 * model.units : model.region_units);
      delete arrays[name];
    }
    this.sums = new Float64Array(4 * this.units);
    // How many rows before and after a token read it.
    const widths = embedding ? embedding.region_widths : [];
    this.rowsBefore = Math.max(0, ...widths.map((width) => (width - 1) >> 1));
    this.rowsAfter = Math.max(embedding && embedding.bigram_buckets ? 1 : 0, ...widths.map((width) => width >> 1));
  }

  // Probabilities of a text or an image, with all states: see `trace`.
  run(input) {
    const trace = this.trace(this.vectors(input), input);
    return { trace, probabilities: this.probabilities(this.logits(trace)) };
  }

  probabilities(logits) {
    if (this.config.multi_label) return logits.map(sigmoid);
    if (logits.length === 1) {
      const second = Math.fround(sigmoid(logits[0]));
      return [Math.fround(1 - second), second];
    }
    const highest = Math.max(...logits), odds = logits.map((logit) => Math.exp(logit - highest));
    const sum = odds.reduce((a, b) => a + b, 0);
    return odds.map((value) => value / sum);
  }

  // Inputs of the LSTM

  encodeText(text) {
    const encoding = this.tokenizer.encode(text);
    return { ...encoding, length: encoding.ids.length };
  }
  encodeImage(rows) {
    const { window, border } = this.config.image;
    const pixels = withBorder(rows, border), windows = rowWindows(rows.length, this.config.image);
    const steps = windows.map(([start]) => pixels.slice(start, start + window).flat());
    return { pixels, windows, steps, length: steps.length };
  }

  vectors(input) {
    const x = new Float64Array(input.length * this.dim);
    for (let step = 0; step < input.length; step++) {
      if (input.steps) input.steps[step].forEach((value, column) => { x[step * this.dim + column] = value / 255; });
      else this.embed(input, step, x);
    }
    return x;
  }

  // The vector of a token: word, bigram, region embeddings.
  embed(input, step, x) {
    const { embedding } = this.config, { arrays } = this, lstmId = (at) => input.ids[at] % READ_AS;
    let at = step * this.dim;
    const id = lstmId(step);
    for (let k = 0; k < embedding.dim; k++) x[at + k] = arrays["embedding/embeddings"][id * embedding.dim + k];
    at += embedding.dim;
    if (embedding.bigram_buckets) {
      const bucket = ((step ? lstmId(step - 1) : 0) * BIGRAM_FACTOR + id) % embedding.bigram_buckets, dim = embedding.bigram_dim;
      for (let k = 0; k < dim; k++) x[at + k] = arrays["bigrams/embeddings"][bucket * dim + k];
      at += dim;
    }
    for (const width of embedding.region_widths) {
      const table = arrays[`region_embedding_${width}/embeddings`], bias = arrays[`region_embedding_${width}/bias`], dim = embedding.region_dim;
      for (let k = 0; k < dim; k++) x[at + k] = bias[k];
      const first = Math.max(0, step - (width >> 1)), last = Math.min(input.length - 1, step + ((width - 1) >> 1));
      for (let place = first; place <= last; place++) addScaled(x, at, table, lstmId(place) * dim, 1, dim);
      for (let k = 0; k < dim; k++) if (x[at + k] < 0) x[at + k] = 0;
      at += dim;
    }
  }

  // LSTM

  // All states of the last layer, and the outputs of the regions.
  trace(x, input) {
    const { length } = input, { layers, regions } = this.config.model;
    let sequence = x, dim = this.dim, states = [];
    for (let layer = 0; layer < layers; layer++) {
      states = this.directions.map((direction) => this.runLayer(`lstm_${layer}_${direction}`, sequence, dim, length, direction));
      if (layer + 1 === layers) break;
      dim = this.units * states.length;
      sequence = new Float64Array(length * dim);
      for (let step = 0; step < length; step++) {
        states.forEach(({ h }, d) => sequence.set(h.subarray(step * this.units, (step + 1) * this.units), step * dim + d * this.units));
      }
    }
    const convolved = regions.map((width) => {
      const outputs = new Float64Array(length * this.config.model.region_units);
      // The first regions begin before the text.
      for (let step = 0; step < Math.min(width - 1, length); step++) this.convolve(width, x, step, outputs);
      addProducts(outputs, x, this.dim, width * this.dim, width - 1, length, this.tables[`regions_${width}/kernel`]);
      return { width, outputs };
    });
    return { x, input, length, states, convolved };
  }

  runLayer(name, x, dim, length, direction) {
    const size = length * this.units, isBackward = direction === "backward";
    const state = { projected: new Float64Array(4 * size) };
    for (const part of ["i", "f", "o", "c", "h"]) state[part] = new Float64Array(size);
    Object.assign(state, this.layer(name), { isBackward });
    for (let step = 0; step < length; step++) state.projected.set(state.bias, 4 * step * this.units);
    addProducts(state.projected, x, dim, dim, 0, length, state.kernel);
    for (let count = 0; count < length; count++) {
      const step = isBackward ? length - 1 - count : count, before = isBackward ? step + 1 : step - 1;
      this.step(state, state.projected, step, count ? state : null, before, state, step);
    }
    return state;
  }
  layer(name) {
    const { arrays, tables } = this;
    return { kernel: tables[`${name}/kernel`], recurrent: tables[`${name}/recurrent_kernel`], bias: arrays[`${name}/bias`],
      peepholes: arrays[`${name}/peepholes`] };
  }
  // W x + b of one step.
  project(layer, x, dim, step, out, at) {
    const to = 4 * at * this.units;
    out.set(layer.bias, to);
    addProduct(out, to, x, step * dim, dim, layer.kernel, 0);
  }
  // One step: `before` names the step of the states `from` that it continues; null for zeros.
  step(layer, projected, row, from, before, to, at) {
    const { units, sums } = this, first = 4 * row * units;
    for (let k = 0; k < sums.length; k++) sums[k] = projected[first + k];
    if (from) addProduct(sums, 0, from.h, before * units, units, layer.recurrent, 0);
    updateStates(sums, units, layer.peepholes, from, before * units, to, at * units);
  }

  // The region that ends at a step, before bias and ReLU.
  convolve(width, x, step, outputs) {
    const num = this.config.model.region_units, { dim } = this;
    outputs.fill(0, step * num, (step + 1) * num);
    const missing = Math.max(0, width - 1 - step);
    // The rows of a region are neighbours, in the input and in the kernel.
    addProduct(outputs, step * num, x, (step - width + 1 + missing) * dim, (width - missing) * dim, this.tables[`regions_${width}/kernel`], missing * dim);
  }

  // From states to logits

  logits(trace) {
    const pooled = this.pool(trace), kernel = this.arrays["head/kernel"], logits = Array.from(this.arrays["head/bias"]);
    pooled.forEach((value, row) => { for (let k = 0; k < this.outputs; k++) logits[k] += value * kernel[row * this.outputs + k]; });
    const linear = this.linearLogits(trace.input, trace.length);
    return linear ? logits.map((logit, k) => logit + linear[k]) : logits;
  }

  // The vector that the head reads, in the order of `config/pooled.py`.
  pool(trace) {
    const { pooling, regions, region_units: num } = this.config.model, { units } = this, { length, states } = trace;
    const parts = [];
    if (pooling === "last") {
      for (const { h, isBackward } of states) parts.push(h.slice((isBackward ? 0 : length - 1) * units).slice(0, units));
    }
    if (pooling === "max" || pooling === "max_mean") {
      for (const { h } of states) parts.push(highest(h, length, units));
    }
    if (pooling === "mean" || pooling === "max_mean") {
      for (const { h } of states) {
        const sums = new Float64Array(units);
        for (let step = 0; step < length; step++) addScaled(sums, 0, h, step * units, 1, units);
        parts.push(sums.map((sum) => sum / length));
      }
    }
    trace.convolved.forEach(({ outputs }, index) => {
      const bias = this.arrays[`regions_${regions[index]}/bias`];
      parts.push(highest(outputs, length, num).map((value, unit) => Math.max(0, value + bias[unit])));
    });
    return parts.flatMap((part) => Array.from(part));
  }

  linearLogits(input, length) {
    const { linear } = this.config, { arrays, outputs } = this;
    if (!linear) return null;
    const sums = new Float64Array(outputs), own = (step) => (input.ids[step] >= READ_AS ? UNKNOWN_ID : input.ids[step]);
    let previous = 0, firstTwo = 0;
    for (let step = 0; step < length; step++) {
      const id = own(step), hash = previous * BIGRAM_FACTOR + id;
      addScaled(sums, 0, arrays["linear/words"], id * outputs, 1, outputs);
      addScaled(sums, 0, arrays["linear/word_ngrams"], hash % linear.buckets * outputs, 1, outputs);
      if (linear.word_ngrams === 3) {
        addScaled(sums, 0, arrays["linear/word_ngrams"], (firstTwo * BIGRAM_FACTOR + id) % linear.buckets * outputs, 1, outputs);
        firstTwo = hash % TRIGRAM_MODULUS;
      }
      previous = id;
      for (const bucket of input.ngrams[step] || []) addScaled(sums, 0, arrays["linear/char_ngrams"], bucket * outputs, 1, outputs);
    }
    const scale = arrays["linear/scale"][0];
    return Array.from(sums, (sum, k) => scale * (sum / Math.sqrt(length) + arrays["linear/biases"][k]));
  }

  // Variants

  // Logits of the first `length` steps of a traced input, in which the tokens from `first` up to `end` may differ.
  variant(trace, input, length, first, end) {
    const { model } = this.config, changed = { ...input, length };
    if (model.layers > 1) return this.logits(this.trace(this.vectors(changed), changed));
    if (!trace.scratch) trace.scratch = this.makeScratch(trace);
    const { scratch } = trace, isWhole = length === trace.length;
    const low = Math.max(0, first - this.rowsBefore), high = Math.min(length - 1, end - 1 + this.rowsAfter);
    if (!changed.steps) for (let row = low; row <= high; row++) this.embed(changed, row, scratch.x);
    trace.states.forEach((state, index) => this.runVariant(state, scratch.states[index], scratch.x, length, low, high, isWhole));
    const num = model.region_units;
    trace.convolved.forEach(({ width }, index) => {
      for (let step = low; step <= Math.min(length - 1, high + width - 1); step++) this.convolve(width, scratch.x, step, scratch.convolved[index].outputs);
    });
    const logits = this.logits({ ...scratch, input: changed, length });
    // What was changed is as in the trace again.
    restore(scratch.x, trace.x, low, high, this.dim);
    trace.states.forEach(({ h, c }, index) => {
      const { range } = scratch.states[index];
      restore(scratch.states[index].h, h, ...range, this.units);
      restore(scratch.states[index].c, c, ...range, this.units);
    });
    trace.convolved.forEach(({ width, outputs }, index) => restore(scratch.convolved[index].outputs, outputs, low, Math.min(length - 1, high + width - 1), num));
    return logits;
  }

  makeScratch(trace) {
    return {
      x: trace.x.slice(),
      states: trace.states.map((state) => ({ ...state, i: state.i.slice(), f: state.f.slice(), o: state.o.slice(), c: state.c.slice(),
        h: state.h.slice(), row: new Float64Array(4 * this.units), range: [0, -1] })),
      convolved: trace.convolved.map(({ width, outputs }) => ({ width, outputs: outputs.slice() })),
    };
  }

  runVariant(state, scratch, x, length, low, high, isWhole) {
    const { isBackward } = state, { units } = this, direction = isBackward ? -1 : 1;
    // A direction that reads from the end of a shorter text has no state before it.
    let step = isBackward ? (isWhole ? high : length - 1) : low;
    const start = step, last = isBackward ? 0 : length - 1, edge = isBackward ? low : high;
    for (; direction * (last - step) >= 0; step += direction) {
      const before = step - direction, isFirst = before < 0 || before >= length;
      if (low <= step && step <= high) {
        this.project(state, x, this.dim, step, scratch.row, 0);
        this.step(state, scratch.row, 0, isFirst ? null : scratch, before, scratch, step);
      } else {
        this.step(state, state.projected, step, isFirst ? null : scratch, before, scratch, step);
      }
      if (direction * (step - edge) > 0 && isSame(state, scratch, step * units, units)) break;
    }
    step = Math.min(Math.max(step, 0), length - 1);
    scratch.range = isBackward ? [step, start] : [start, step];
  }
}

function sigmoid(x) { return 1 / (1 + Math.exp(-x)); }
function highest(values, length, num) {
  const found = values.slice(0, num);
  for (let step = 1; step < length; step++) {
    for (let k = 0; k < num; k++) if (values[step * num + k] > found[k]) found[k] = values[step * num + k];
  }
  return found;
}
function isSame(state, scratch, at, num) {
  for (let k = at; k < at + num; k++) {
    if (Math.abs(state.h[k] - scratch.h[k]) > SAME || Math.abs(state.c[k] - scratch.c[k]) > SAME) return false;
  }
  return true;
}
function restore(to, from, low, high, num) {
  if (high >= low) to.set(from.subarray(low * num, (high + 1) * num), low * num);
}

// Images

// The rows that each step reads (`data/row_windows.py`), as [start, end).
function rowWindows(numRows, { window, stride }) {
  const last = numRows - window, numSteps = Math.ceil(last / stride) + 1;
  return Array.from({ length: numSteps }, (_, step) => [Math.min(step * stride, last), Math.min(step * stride, last) + window]);
}
// An image with another border than those of training is inverted (`data/images.py`).
function withBorder(rows, border) {
  if (border === "any") return rows;
  const edge = [...rows[0], ...rows[rows.length - 1], ...rows.map((row) => row[0]), ...rows.map((row) => row[row.length - 1])];
  edge.sort((a, b) => a - b);
  const median = (edge[(edge.length - 1) >> 1] + edge[edge.length >> 1]) / 2;
  const isOther = border === "dark" ? median > 127.5 : median < 127.5;
  return isOther ? rows.map((row) => row.map((value) => 255 - value)) : rows;
}
