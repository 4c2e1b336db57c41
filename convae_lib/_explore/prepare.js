/**
 * A drawing as MNIST would hold it: 28 × 28 numbers from 0 to 1, or null for an empty one.
 *
 * `ink`, from 0 to 1, is cut out and scaled by area to fit into 20 × 20, its proportions kept; then
 * moved, by whole pixels, until its centre of mass is at pixel (14, 14), counted from 0.
 */
function prepare(ink, width, height) {
  let left = width, right = 0, top = height, bottom = 0;
  const sums = new Float64Array((width + 1) * (height + 1)); // of all ink above and to the left
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const value = ink[y * width + x], at = (y + 1) * (width + 1) + x + 1;
      sums[at] = value + sums[at - 1] + sums[at - width - 1] - sums[at - width - 2];
      if (value > 0) {
        [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
      }
    }
  if (right === 0) return null;

  const sum = (y, x) => { // anywhere between pixels, too
    const row = Math.min(Math.floor(y), height - 1), column = Math.min(Math.floor(x), width - 1);
    const at = row * (width + 1) + column, below = at + width + 1, dx = x - column, dy = y - row;
    const above = sums[at] * (1 - dx) + sums[at + 1] * dx;
    return above * (1 - dy) + (sums[below] * (1 - dx) + sums[below + 1] * dx) * dy;
  };
  const cell = Math.max(right - left, bottom - top) / 20; // the drawing's pixels in one of MNIST's
  const ys = Array.from({ length: 21 }, (_, i) => Math.min(top + i * cell, bottom));
  const xs = Array.from({ length: 21 }, (_, i) => Math.min(left + i * cell, right));
  const box = new Float32Array(400);
  let mass = 0, massX = 0, massY = 0;
  for (let y = 0; y < 20; y++)
    for (let x = 0; x < 20; x++) {
      const area = sum(ys[y + 1], xs[x + 1]) - sum(ys[y], xs[x + 1]) - sum(ys[y + 1], xs[x]) + sum(ys[y], xs[x]);
      const value = Math.round((255 * area) / cell ** 2) / 255;
      box[y * 20 + x] = value;
      mass += value, massX += value * x, massY += value * y;
    }
  if (mass === 0) return null; // a trace too faint for 8 bits

  const image = new Float32Array(784);
  const across = 14 - Math.round(massX / mass), down = 14 - Math.round(massY / mass);
  for (let y = Math.max(0, -down); y < Math.min(20, 28 - down); y++)
    for (let x = Math.max(0, -across); x < Math.min(20, 28 - across); x++)
      image[(y + down) * 28 + x + across] = box[y * 20 + x];
  return image;
}
