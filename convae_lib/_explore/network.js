// Networks, run in the page. Numbers lie in a Float32Array: channel by channel, row by row.

/** Bytes, from base64. */
function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** Half-precision numbers (IEEE 754, little-endian), from base64. */
function floats(base64) {
  return Float32Array.from(new Uint16Array(bytes(base64).buffer), (half) => {
    const sign = half & 0x8000 ? -1 : 1, exponent = (half >> 10) & 31, fraction = half & 1023;
    return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
  });
}

/** x Φ(x), the error function after Abramowitz and Stegun, 7.1.26: to seven digits. */
function gelu(x) {
  const z = Math.abs(x) * Math.SQRT1_2, t = 1 / (1 + 0.3275911 * z);
  const series = 0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)));
  const tail = (t * series * Math.exp(-z * z)) / 2; // of the standard normal, beyond |x|
  return x * (x < 0 ? tail : 1 - tail);
}

// Each takes its weights, once, and returns what it does to numbers. `kept` is the residual.
const LAYERS = {
  tanh: () => (x) => x.map(Math.tanh),
  gelu: () => (x) => x.map(gelu),
  keep: (take, kept) => (x) => (kept.push(x), x),
  add: (take, kept) => (x) => { const before = kept.pop(); return x.map((value, i) => value + before[i]); },

  dense(take, kept, inputs, outputs) {
    const weight = take(outputs * inputs), bias = take(outputs);
    return (x) => Float32Array.from(bias, (sum, o) => {
      for (let i = 0; i < inputs; i++) sum += weight[o * inputs + i] * x[i];
      return sum;
    });
  },

  conv(take, kept, inputs, outputs, size, stride, padding, height, width) {
    const weight = take(outputs * inputs * size * size), bias = take(outputs);
    const rows = Math.floor((height + 2 * padding - size) / stride) + 1;
    const columns = Math.floor((width + 2 * padding - size) / stride) + 1;
    return (x) => {
      const y = new Float32Array(outputs * rows * columns);
      let w = 0; // one weight after the other: to all places that it serves
      for (let o = 0; o < outputs; o++) {
        y.fill(bias[o], o * rows * columns, (o + 1) * rows * columns);
        for (let i = 0; i < inputs; i++)
          for (let ky = -padding; ky < size - padding; ky++)
            for (let kx = -padding; kx < size - padding; kx++) {
              const factor = weight[w++];
              const first = Math.max(0, Math.ceil(-kx / stride));
              const last = Math.min(columns - 1, Math.floor((width - 1 - kx) / stride));
              for (let row = 0; row < rows; row++) {
                const from = row * stride + ky;
                if (from < 0 || from >= height) continue;
                const source = (i * height + from) * width + kx, target = (o * rows + row) * columns;
                for (let c = first; c <= last; c++) y[target + c] += factor * x[source + c * stride];
              }
            }
      }
      return y;
    };
  },

  shuffle(take, kept, factor, channels, height, width) { // (C r², H, W) → (C, H r, W r)
    return (x) => {
      const y = new Float32Array(x.length);
      for (let c = 0; c < channels; c++)
        for (let row = 0; row < height * factor; row++)
          for (let column = 0; column < width * factor; column++) {
            const part = ((c * factor) + (row % factor)) * factor + (column % factor);
            const place = Math.floor(row / factor) * width + Math.floor(column / factor);
            y[(c * height * factor + row) * width * factor + column] = x[part * height * width + place];
          }
      return y;
    };
  },
};

/** A network as a function of numbers, from its layers, [[name, …sizes], …], and all weights. */
function network({ layers, weights }) {
  const numbers = floats(weights), kept = [];
  let at = 0;
  const take = (count) => numbers.subarray(at, (at += count));
  const steps = layers.map(([name, ...sizes]) => LAYERS[name](take, kept, ...sizes));
  return (x) => steps.reduce((numbers, step) => step(numbers), x);
}

/** The number of the code (of `size` numbers) nearest to one, and its distance. */
function nearest(codes, size, code) {
  let best = -1, least = Infinity;
  for (let i = 0; i * size < codes.length; i++) {
    let squared = 0;
    for (let j = 0; j < size; j++) squared += (codes[i * size + j] - code[j]) ** 2;
    if (squared < least) [best, least] = [i, squared];
  }
  return [best, Math.sqrt(least)];
}
