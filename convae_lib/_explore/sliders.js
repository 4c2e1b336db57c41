/** A decoder to play on: sliders move a code, and the page shows what the decoder makes of it. */
async function codeSliders(host, data) {
  const images = await sprite(data.images), decode = network(data.decoder), shape = data.images.shape;
  const codes = floats(data.codes), size = data.mean.length, classes = bytes(data.classes), names = data.names;
  const root = begin(host, `<style>
    .controls { margin: 0.75rem 0; align-items: center; }
    .controls label { display: inline-flex; gap: 0.4em; align-items: center; min-height: 2.4rem; }
    .controls { gap: 0.5rem; }
    .sliders { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 0.4rem 1rem; margin-bottom: 0.5rem; }
    .sliders label { font-size: 0.9em; }
    .sliders span { display: flex; justify-content: space-between; }
    .sliders input { width: 100%; height: 1.5rem; margin: 0; }
    output { font-variant-numeric: tabular-nums; }
    .sliders { max-height: 24rem; overflow-y: auto; padding: 4px; }
    .live { min-height: 3em; }
  </style>
  <div class="row controls" role="group" aria-label="Start from an image"><span>Start from</span></div>
  <div class="pictures">
    <figure><canvas class="image" aria-hidden="true"></canvas><figcaption>the image you started from</figcaption></figure>
    <figure><canvas class="image" aria-hidden="true"></canvas><figcaption>what the decoder draws</figcaption></figure>
    <figure><canvas class="image" aria-hidden="true"></canvas><figcaption>the real image with the nearest code</figcaption></figure>
  </div>
  <p class="live" aria-live="polite"></p>
  <div class="row controls" role="group" aria-label="What the sliders move">
    <label><input type="radio" name="what" value="axes" checked>principal axes</label>
    <label><input type="radio" name="what" value="numbers">single numbers</label>
    <button type="button" class="back">Back to the image</button>
  </div>
  <div class="sliders"></div>
  <p>Positions are in standard deviations of ${(codes.length / size).toLocaleString("en")} codes, from their mean.
  Beside an axis stands its share of their variance.</p>`);
  const [original, drawn, neighbour] = root.querySelectorAll("canvas");

  // A direction each: an axis, or one number of the code. Positions are in standard deviations.
  const single = data.mean.map((_, j) => ({ name: `number ${j + 1}`, sd: data.sd[j], vector: data.mean.map((_, i) => +(i === j)) }));
  const axes = data.axes.map((axis, j) => ({ ...axis, name: `axis ${j + 1}, ${Math.round(100 * axis.share)}%` }));
  const position = ({ vector, sd }) => vector.reduce((sum, v, i) => sum + v * (code[i] - data.mean[i]), 0) / (sd || 1);
  let start, code, sliders;

  function show() {
    const began = performance.now();
    for (const [direction, input, output] of sliders) {
      const value = position(direction);
      if (root.activeElement !== input) input.value = value;
      output.textContent = signed(value);
      input.setAttribute("aria-valuetext", `${signed(value)} standard deviations`);
    }
    paint(drawn, decode(code), shape);
    const [index, distance] = nearest(codes, size, code);
    paint(neighbour, images(index), shape);
    const far = distance ? `${(distance / data.usual).toFixed(1)} times as far as a neighbour usually is` : "whose code this is";
    root.querySelector(".live").textContent = `Nearest in the code: a real ${names[classes[index]]}, ${far}.`;
    host.dataset.milliseconds = (performance.now() - began).toFixed(1);
  }

  function begins(index) {
    start = index;
    code = codes.slice(index * size, (index + 1) * size);
    paint(original, images(index), shape);
    buttons.forEach((button, c) => button.setAttribute("aria-pressed", c === classes[index]));
    show();
  }

  function chooses(directions) {
    const grid = root.querySelector(".sliders");
    grid.replaceChildren();
    sliders = directions.map((direction) => {
      const label = add(grid, "label"), head = add(label, "span", {}, direction.name);
      const output = add(head, "output");
      const input = add(label, "input", { type: "range", min: -4, max: 4, step: 0.05, "aria-label": direction.name });
      input.addEventListener("input", () => {
        const step = (input.value - position(direction)) * direction.sd;
        direction.vector.forEach((v, i) => (code[i] += v * step));
        show();
      });
      return [direction, input, output];
    });
  }

  const buttons = names.map((name, c) => {
    const button = add(root.querySelector(".controls"), "button", { type: "button", title: "again: the next one" }, name);
    button.addEventListener("click", () => { // the next of this class after the one shown
      const from = classes[start] === c ? start : -1, next = classes.indexOf(c, from + 1);
      begins(next < 0 ? classes.indexOf(c) : next);
    });
    return button;
  });
  root.querySelector(".back").addEventListener("click", () => begins(start));
  for (const radio of root.querySelectorAll("[name=what]"))
    radio.addEventListener("change", () => { chooses(radio.value === "axes" ? axes : single); show(); });

  chooses(axes);
  begins(0);
  for (let i = 0; i < 5; i++) decode(code); // the browser compiles what runs often
  host.dataset.ready = "";
}
