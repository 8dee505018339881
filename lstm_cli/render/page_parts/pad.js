// The input of an image: a drawing, an example or a file.

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
    const { penDown } = this;
    if (this.example) this.clear();
    this.penDown = penDown;
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
  markExample(-1);
  update();
});
