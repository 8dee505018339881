// The tokenizer: the steps of `text/normalization.py` and `text/tokenizer.py`.
//
// The classes of characters come from there too, as ranges: they do not depend on the version of Unicode of a browser.

const UNKNOWN_ID = 1, READ_AS = 65536, NO_LIMIT = 2 ** 31 - 1;
const SYMBOL_SPACES = " $& ", FIRST_MARK = "\u0300", SOFT_HYPHEN = "\u00ad";
const ASCII = /^[\0-\x7f]*$/, ASCII_TOKEN = /\w+(?:'\w+)*|[^\s\w\x00-\x1f\x7f]/g, ASCII_LINE_BREAK = /<br\s*\/?>/g;
const FNV_OFFSET = 2166136261, FNV_PRIME = 16777619, SIMILAR_BUCKETS = 2 ** 31 - 1;
const MIN_CHARS = 2, MAX_CHARS = 5, MAX_WORD_CHARS = 64;

class Tokenizer {
  // classes: of characters, each the inside of [...]; settings: those of the run's tokenizer.
  constructor(words, classes, settings) {
    this.words = words;
    this.ids = new Map(words.map((word, id) => [word, id]));
    this.settings = settings;
    this.amVowels = settings.am_vowels;
    this.lineBreak = new RegExp(`<br[${classes.space}]*/?>`, "giu");
    this.invisible = new RegExp(`[${classes.invisible}]`, "gu");
    this.isInvisible = new RegExp(`^[${classes.invisible}]`, "u");
    this.symbol = new RegExp(`[${classes.symbol}]`, "gu");
    this.apostrophe = new RegExp(`[${classes.apostrophe}]`, "gu");
    this.optionalSign = new RegExp(`[${classes.optional_sign}]`, "gu");
    this.combines = new RegExp(`^[${classes.combining}]`, "u");
    const word = `[${classes.word}]+`, mark = `[${classes.mark}]`, letter = `[${classes.unspaced_letter}]`;
    this.token = new RegExp(
      `[\u4e00-\u9fff]${mark}*|[\u0e01-\u0e2e]${mark}*|${word}(?:'${word})*`
      + `|${letter}(?:[${classes.stacker}]${letter}|${mark})*|[${classes.other}]`, "gu");
    this.letters = new Map();
  }

  tokenize(text) {
    if (ASCII.test(text)) return text.toLowerCase().replace(ASCII_LINE_BREAK, " ").match(ASCII_TOKEN) || [];
    text = wellFormed(text);
    if (text.includes("<")) text = text.replace(this.lineBreak, " ");
    return this.normalize(text).match(this.token) || [];
  }

  // The steps after that of the line breaks.
  normalize(text) {
    text = text.replace(this.invisible, "").replace(this.apostrophe, "'");
    if (text !== text.normalize("NFKC")) text = text.replace(this.symbol, SYMBOL_SPACES);
    text = this.compose(text).replace(this.optionalSign, "");
    // A final sigma has no form of its own.
    return text.replaceAll("\u03a3", "\u03c3").toLowerCase();
  }

  compose(text) {
    text = text.normalize("NFKC");
    for (const [parts, vowel] of this.amVowels) text = text.replaceAll(parts, vowel);
    return text;
  }

  // Ids as the model reads them, and the places of the tokens that it reads.
  encode(text) {
    const tokens = this.tokenize(text), all = tokens.map((token) => this.id(token)), kept = this.keptPositions(all.length);
    const numUnknown = all.filter((id) => id === UNKNOWN_ID || id >= READ_AS).length;
    const ids = tokens.length ? kept.map((place) => all[place]) : [UNKNOWN_ID];
    const ngrams = ids.map((id, step) => this.settings.char_buckets && tokens.length && (id === UNKNOWN_ID || id >= READ_AS)
      ? charNgrams(tokens[kept[step]], this.settings.char_buckets) : null);
    return { ids, ngrams, kept, numTokens: tokens.length, numUnknown, truncated: tokens.length > this.settings.max_tokens };
  }

  id(token) {
    const id = this.ids.get(token);
    if (id !== undefined) return id;
    if (!this.settings.min_similarity) return UNKNOWN_ID;
    if (!this.similar) this.similar = new SimilarWords(this.words, this.settings.min_similarity);
    return this.similar.find(token);
  }

  // Of a long text, its head and its tail.
  keptPositions(numTokens) {
    const most = this.settings.max_tokens, places = Array.from({ length: numTokens }, (_, place) => place);
    if (numTokens <= most) return places;
    const head = Math.floor((most + 1) / 2), tail = Math.floor(most / 2);
    return [...places.slice(0, head), ...places.slice(numTokens - tail)];
  }

  // The place of each token in the text, as [start, end) in characters (code points).
  spans(text) {
    if (ASCII.test(text)) {
      const spaced = text.toLowerCase().replace(ASCII_LINE_BREAK, (found) => " ".repeat(found.length));
      return Array.from(spaced.matchAll(ASCII_TOKEN), (match) => [match.index, match.index + match[0].length]);
    }
    const aligned = this.align(text), place = codePointPlaces(aligned.text);
    return Array.from(aligned.text.matchAll(this.token), (match) => {
      const start = place[match.index], end = place[match.index + match[0].length];
      return [aligned.starts[start], aligned.ends[end - 1]];
    });
  }

  // A normalized text whose characters know their place in the original.
  align(text) {
    const spaced = wellFormed(text).replace(this.lineBreak, (found) => " ".repeat(Array.from(found).length));
    const characters = Array.from(spaced), parts = [], starts = [], ends = [];
    for (const [start, end] of this.independentParts(characters)) {
      const alone = characters.slice(start, end).join("");
      const part = end - start === 1 ? this.normalizeLetter(alone) : this.normalize(alone);
      if (!part && ends.length) ends[ends.length - 1] = end;
      parts.push(part);
      for (const _ of part) { starts.push(start); ends.push(end); }
    }
    return { text: parts.join(""), starts, ends };
  }

  normalizeLetter(letter) {
    let found = this.letters.get(letter);
    if (found === undefined) this.letters.set(letter, found = this.normalize(letter));
    return found;
  }

  // The smallest parts that are normalized independently of each other.
  independentParts(characters) {
    if (!characters.length) return [];
    const starts = [0], spans = [];
    for (let place = 1; place < characters.length; place++) {
      if (this.isIndependent(characters, starts[starts.length - 1], place)) starts.push(place);
    }
    starts.forEach((start, index) => {
      const end = index + 1 < starts.length ? starts[index + 1] : characters.length;
      if (end - start > 1 && this.isOnePart(characters.slice(start, end))) spans.push([start, end]);
      else for (let place = start; place < end; place++) spans.push([place, place + 1]);
    });
    return spans;
  }

  isOnePart(characters) {
    const alone = characters.map((letter) => this.normalizeLetter(letter)).join("");
    return alone.replaceAll(" ", "") !== this.normalize(characters.join("")).replaceAll(" ", "");
  }

  isIndependent(characters, start, place) {
    const character = characters[place];
    if (character < FIRST_MARK && character !== SOFT_HYPHEN) return true;
    if (this.isInvisible.test(character) || this.combines.test(character)) return false;
    const before = characters.slice(start, place).join("").replace(this.invisible, "");
    return this.compose(before + character) === this.compose(before) + this.compose(character);
  }
}

// A lone surrogate, half of a character, is a question mark.
function wellFormed(text) { return text.replace(/\p{Surrogate}/gu, "?"); }

// The index of a character (code point) by the index of its first UTF-16 unit.
function codePointPlaces(text) {
  const places = new Int32Array(text.length + 1);
  let place = 0, index = 0;
  for (const character of text) {
    places[index] = place++;
    index += character.length;
  }
  places[index] = place;
  return places;
}

// The buckets of the character n-grams of a word (`text/ngrams.py`).
function charNgrams(word, buckets) {
  const letters = [2, ...Array.from(word).slice(0, MAX_WORD_CHARS).map((letter) => letter.codePointAt(0)), 3], found = [];
  for (let start = 0; start < letters.length; start++) {
    let hash = FNV_OFFSET;
    for (let size = 1; size <= MAX_CHARS && start + size <= letters.length; size++) {
      hash = Math.imul(hash ^ letters[start + size - 1], FNV_PRIME);
      if (size >= MIN_CHARS) found.push(mix(hash) % (buckets - 1) + 1);
    }
  }
  return found;
}
function mix(hash) {
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
  return (hash ^ hash >>> 16) >>> 0;
}

// Unknown words, read by the LSTM as the most similar words of the vocabulary (`text/similar_words.py`).
class SimilarWords {
  constructor(words, minSimilarity) {
    this.minSimilarity = minSimilarity;
    this.first = 2;
    this.numWords = words.length - this.first;
    this.rows = new Map();
    for (let row = 0; row < this.numWords; row++) {
      for (const ngram of new Set(charNgrams(words[row + this.first], SIMILAR_BUCKETS))) {
        const rows = this.rows.get(ngram);
        if (rows) rows.push(row); else this.rows.set(ngram, [row]);
      }
    }
    const squares = new Float64Array(this.numWords);
    for (const rows of this.rows.values()) {
      const square = this.idf(rows) ** 2;
      for (const row of rows) squares[row] += square;
    }
    this.norms = squares.map(Math.sqrt);
    this.found = new Map();
  }
  idf(rows) { return Math.log((1 + this.numWords) / (1 + rows.length)) + 1; }
  find(word) {
    let id = this.found.get(word);
    if (id === undefined) this.found.set(word, id = this.search(word));
    return id;
  }
  search(word) {
    const products = new Float64Array(this.numWords), newIdf = Math.log(1 + this.numWords) + 1;
    let squares = 0, isFound = false;
    for (const ngram of new Set(charNgrams(word, SIMILAR_BUCKETS))) {
      const rows = this.rows.get(ngram);
      const square = (rows ? this.idf(rows) : newIdf) ** 2;
      squares += square;
      if (!rows) continue;
      isFound = true;
      for (const row of rows) products[row] += square;
    }
    if (!isFound) return UNKNOWN_ID;
    const norm = Math.sqrt(squares);
    let best = 0, highest = -1;
    for (let row = 0; row < this.numWords; row++) {
      const similarity = Math.round(products[row] / (norm * this.norms[row]) * 1e6) / 1e6;
      if (similarity > highest) { highest = similarity; best = row; }
    }
    return highest < this.minSimilarity ? UNKNOWN_ID : READ_AS + this.first + best;
  }
}
