// Answers to the requests of the page, in the form of the server's: `prediction/` and `serve/inference.py`.

const FIELD_SEPARATOR = "\u241f";

class Answers {
  constructor(classifier, modelInfo) {
    this.classifier = classifier;
    this.model = modelInfo;
  }

  predict(body) {
    const { classifier } = this, input = this.input(body), { probabilities } = classifier.run(input);
    return { run: this.model.run, predictions: [this.prediction(probabilities, input, body.top_k)] };
  }

  async explain(body, pause) {
    const { classifier } = this, input = this.input(body), { probabilities } = classifier.run(input);
    const { labels } = classifier.config;
    const index = body.label !== undefined ? labels.indexOf(body.label) : this.explained(probabilities);
    return explainInput(classifier, input, { index, text: body.text === undefined ? "" : this.text(body.text) }, pause);
  }

  input(body) {
    return body.image ? this.classifier.encodeImage(body.image) : this.classifier.encodeText(this.text(body.text));
  }
  // Of several columns, the values joined (`io/fields.py`).
  text(value) {
    if (typeof value === "string") return value;
    const values = this.model.text_columns.map((column) => value[column] || "");
    if (values.length === 1) return values[0];
    if (!values.some((one) => one.trim())) return "";
    return values.map((one) => one.replaceAll(FIELD_SEPARATOR, " ")).join(` ${FIELD_SEPARATOR} `);
  }
  isEmpty(body) {
    return !body.image && !this.classifier.encodeText(this.text(body.text)).numTokens;
  }

  prediction(probabilities, input, topK) {
    const { labels, multi_label: isMultiLabel, thresholds, min_probabilities: least } = this.classifier.config;
    let shown = labels.map((label, index) => [label, probabilities[index]]);
    if (topK !== undefined && topK < labels.length) shown = shown.sort((a, b) => b[1] - a[1]).slice(0, topK);
    const result = { probabilities: Object.fromEntries(shown) }, chosen = this.explained(probabilities);
    if (isMultiLabel) {
      const predicted = labels.map((_, index) => index).filter((index) => Math.fround(probabilities[index]) >= Math.fround(thresholds[index]));
      predicted.sort((a, b) => probabilities[b] - probabilities[a]);
      result.labels = predicted.map((index) => labels[index]);
      result.label = result.labels[0] || "";
    } else {
      result.label = least && probabilities[chosen] < least[chosen] ? "" : labels[chosen];
    }
    if (!input.steps) {
      const { numTokens, numUnknown, truncated } = input;
      Object.assign(result, { num_tokens: numTokens, unknown: numTokens ? numUnknown / numTokens : 0, truncated });
    }
    return result;
  }

  // The class that is chosen; of several labels, the one that is the farthest above its threshold.
  explained(probabilities) {
    const { multi_label: isMultiLabel, thresholds } = this.classifier.config;
    if (!isMultiLabel && thresholds && probabilities.length === 2) return probabilities[1] >= thresholds[1] ? 1 : 0;
    const odds = (p) => Math.log(Math.min(Math.max(p, 1e-9), 1 - 1e-9) / (1 - Math.min(Math.max(p, 1e-9), 1 - 1e-9)));
    const scores = probabilities.map((p, index) => (isMultiLabel ? odds(p) - odds(thresholds[index]) : thresholds ? p / thresholds[index] : p));
    return scores.indexOf(Math.max(...scores));
  }
}

// The data of the page: base64 of a deflated header (JSON) and arrays.
async function unpack(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer(), size = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size))), arrays = {};
  for (const entry of header.arrays) arrays[entry.name] = readArray(buffer, 4 + size, entry);
  return { ...header, arrays };
}
// An array as 32-bit numbers, whatever it is stored as.
function readArray(buffer, body, { dtype, at, size, scales, rows, squared }) {
  const halves = (place, num) => Float32Array.from(new Uint16Array(buffer, body + place, num), halfToNumber);
  if (dtype === "float32") return new Float32Array(buffer, body + at, size);
  if (dtype === "float16") return halves(at, size);
  const codes = new Int8Array(buffer, body + at, size), factors = halves(scales.at, scales.size);
  // Either a factor for each row, or one for each column.
  const values = new Float32Array(size), width = size / (rows ? scales.size : 1) || 1;
  for (let k = 0; k < size; k++) {
    const code = squared ? codes[k] * Math.abs(codes[k]) : codes[k];
    values[k] = code * factors[rows ? Math.floor(k / width) : k % scales.size];
  }
  return values;
}
function halfToNumber(bits) {
  const exponent = bits >> 10 & 31, fraction = bits & 1023, sign = bits >> 15 ? -1 : 1;
  if (!exponent) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

async function makeAnswers(base64) {
  const { config, words, classes, tokenizer, arrays, model } = await unpack(base64);
  return new Answers(new Classifier(config, arrays, words ? new Tokenizer(words, classes, tokenizer) : null), model);
}
