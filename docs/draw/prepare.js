/**
 * Scales and centers a drawing as the digits of MNIST were.
 *
 * `ink` holds height × width numbers from 0 to 1. The drawing is cut out and scaled by area so that
 * it fits into 20 × 20 pixels, with its proportions kept. It is then moved by whole pixels until its
 * center of mass is at pixel (14, 14) of 28 × 28, counted from 0. Returns 784 numbers from 0 to 1,
 * or null if nothing was drawn.
 */
function prepareDrawing(ink, width, height) {
  const box = boundingBox(ink, width, height);
  if (box === null) return null;
  const small = scaleToTwenty(ink, width, height, box);
  let mass = 0, massX = 0, massY = 0;
  for (let y = 0; y < 20; y++)
    for (let x = 0; x < 20; x++) {
      const value = small[y * 20 + x];
      mass += value;
      massX += value * x;
      massY += value * y;
    }
  if (mass === 0) return null; // a trace too faint for 8 bits

  const right = 14 - Math.round(massX / mass), down = 14 - Math.round(massY / mass);
  const image = new Float32Array(28 * 28);
  for (let y = 0; y < 20; y++)
    for (let x = 0; x < 20; x++) {
      const row = y + down, column = x + right;
      const isInside = row >= 0 && row < 28 && column >= 0 && column < 28;
      if (isInside) image[row * 28 + column] = small[y * 20 + x];
    }
  return image;
}

/** The smallest rectangle that holds all ink, or null; `right` and `bottom` lie just outside. */
function boundingBox(ink, width, height) {
  let left = width, right = 0, top = height, bottom = 0;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (ink[y * width + x] > 0) {
        left = Math.min(left, x);
        right = Math.max(right, x + 1);
        top = Math.min(top, y);
        bottom = Math.max(bottom, y + 1);
      }
  return right === 0 ? null : { left, right, top, bottom };
}

/** The ink in a rectangle as 20 × 20 numbers, each the mean over its area, rounded to 8 bits. */
function scaleToTwenty(ink, width, height, { left, right, top, bottom }) {
  // sums[y * stride + x] is the sum of all ink above y and to the left of x.
  const stride = width + 1, sums = new Float64Array(stride * (height + 1));
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const position = (y + 1) * stride + x + 1;
      const above = sums[position - stride], before = sums[position - 1];
      sums[position] = ink[y * width + x] + above + before - sums[position - stride - 1];
    }

  /** The same sum at any point, also between pixels. */
  function sumAt(y, x) {
    const row = Math.min(Math.floor(y), height - 1), column = Math.min(Math.floor(x), width - 1);
    const dy = y - row, dx = x - column, position = row * stride + column;
    const upper = sums[position] * (1 - dx) + sums[position + 1] * dx;
    const lower = sums[position + stride] * (1 - dx) + sums[position + stride + 1] * dx;
    return upper * (1 - dy) + lower * dy;
  }

  const cell = Math.max(right - left, bottom - top) / 20; // pixels of the drawing in one of MNIST's
  const small = new Float32Array(20 * 20);
  for (let y = 0; y < 20; y++)
    for (let x = 0; x < 20; x++) {
      const y0 = Math.min(top + y * cell, bottom), y1 = Math.min(top + (y + 1) * cell, bottom);
      const x0 = Math.min(left + x * cell, right), x1 = Math.min(left + (x + 1) * cell, right);
      const sum = sumAt(y1, x1) - sumAt(y0, x1) - sumAt(y1, x0) + sumAt(y0, x0);
      small[y * 20 + x] = Math.round((255 * sum) / cell ** 2) / 255;
    }
  return small;
}
