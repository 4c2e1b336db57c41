// Runs encoders and decoders. A tensor is a Float32Array in PyTorch's order: channel by channel,
// and row by row.

/** x Φ(x). The error function is approximated to seven digits (Abramowitz and Stegun, 7.1.26). */
function gelu(x) {
  const z = Math.abs(x) * Math.SQRT1_2, t = 1 / (1 + 0.3275911 * z);
  const polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741
    + t * (-1.453152027 + t * 1.061405429))));
  const tail = (polynomial * Math.exp(-z * z)) / 2; // the normal distribution's, beyond |x|
  return x * (x < 0 ? tail : 1 - tail);
}

// Each function makes a layer: a function from the layer's input to its output. It takes the sizes
// of the layer, and `nextWeights(count)`, which returns the next weights.
const LAYERS = {
  tanh: () => (x) => x.map(Math.tanh),
  relu: () => (x) => x.map((value) => Math.max(value, 0)),
  gelu: () => (x) => x.map(gelu),

  residual({ layers }, nextWeights) {
    const branch = chainLayers(layers, nextWeights);
    return (x) => {
      const change = branch(x);
      return x.map((value, i) => value + change[i]);
    };
  },

  dense({ inputs, outputs }, nextWeights) {
    const weight = nextWeights(outputs * inputs), bias = nextWeights(outputs);
    return (x) => Float32Array.from(bias, (sum, output) => {
      for (let input = 0; input < inputs; input++) sum += weight[output * inputs + input] * x[input];
      return sum;
    });
  },

  conv({ inputs, outputs, kernelSize, stride, padding, height, width }, nextWeights) {
    const weight = nextWeights(outputs * inputs * kernelSize * kernelSize);
    const bias = nextWeights(outputs);
    const rows = Math.floor((height + 2 * padding - kernelSize) / stride) + 1;
    const columns = Math.floor((width + 2 * padding - kernelSize) / stride) + 1;
    return (x) => {
      const y = new Float32Array(outputs * rows * columns);
      let position = 0; // of the next weight
      for (let output = 0; output < outputs; output++) {
        y.fill(bias[output], output * rows * columns, (output + 1) * rows * columns);
        for (let input = 0; input < inputs; input++)
          for (let dy = -padding; dy < kernelSize - padding; dy++)
            for (let dx = -padding; dx < kernelSize - padding; dx++) {
              const factor = weight[position++];
              // the columns of the output for which this weight lies within the image
              const first = Math.max(0, Math.ceil(-dx / stride));
              const last = Math.min(columns - 1, Math.floor((width - 1 - dx) / stride));
              for (let row = 0; row < rows; row++) {
                const inputRow = row * stride + dy;
                if (inputRow < 0 || inputRow >= height) continue;
                const source = (input * height + inputRow) * width + dx;
                const target = (output * rows + row) * columns;
                for (let column = first; column <= last; column++)
                  y[target + column] += factor * x[source + column * stride];
              }
            }
      }
      return y;
    };
  },

  pixelShuffle({ factor, channels, height, width }) { // (C r², H, W) → (C, H r, W r)
    return (x) => {
      const y = new Float32Array(x.length);
      let position = 0;
      for (let channel = 0; channel < channels; channel++)
        for (let row = 0; row < height * factor; row++)
          for (let column = 0; column < width * factor; column++) {
            const inputRow = Math.floor(row / factor), inputColumn = Math.floor(column / factor);
            const part = (row % factor) * factor + (column % factor);
            const inputChannel = channel * factor * factor + part;
            y[position++] = x[(inputChannel * height + inputRow) * width + inputColumn];
          }
      return y;
    };
  },
};

/** One function that applies layers in turn. */
function chainLayers(layers, nextWeights) {
  const steps = layers.map((layer) => LAYERS[layer.type](layer, nextWeights));
  return (x) => steps.reduce((values, step) => step(values), x);
}

/** A network as a function of its input, from what Python's `as_data` stored. */
function buildNetwork({ layers, weights }) {
  const numbers = unpack(weights);
  let position = 0;
  function nextWeights(count) {
    position += count;
    return numbers.subarray(position - count, position);
  }
  return chainLayers(layers, nextWeights);
}
