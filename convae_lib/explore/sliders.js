/** A decoder to explore: sliders move a latent vector, and the page shows the decoded image. */
async function codeSliders(host, data) {
  const image = await loadImages(data.images), decode = buildNetwork(data.decoder);
  const codes = unpack(data.codes), classes = unpack(data.classes);
  const { names, mean } = data, { shape } = data.images;
  const hiddenDim = mean.length, count = classes.length;

  const root = createPage(host, `<style>
    .controls { margin: 0.75rem 0; gap: 0.5rem; align-items: center; }
    .controls label { display: inline-flex; gap: 0.4em; align-items: center; min-height: 2.4rem; }
    .controls button { max-width: 100%; overflow-wrap: anywhere; }
    .sliders { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 0.4rem 1rem;
      margin-bottom: 0.5rem; max-height: 24rem; overflow-y: auto; padding: 4px; }
    .sliders label { font-size: 0.9em; }
    .sliders span { display: flex; justify-content: space-between; }
    .sliders input { width: 100%; height: 1.5rem; margin: 0; }
    @media (max-width: 30rem) { .controls > span { flex-basis: 100%; } }
    output { font-variant-numeric: tabular-nums; }
    .live { min-height: 3em; }
  </style>
  <div class="row controls" role="group" aria-label="Start from an image with the label">
    <span>Start from an image with the label</span>
  </div>
  <div class="pictures">
    <figure><canvas class="image" aria-hidden="true"></canvas><figcaption>the image you start from</figcaption></figure>
    <figure><canvas class="image" aria-hidden="true"></canvas><figcaption>the decoded image</figcaption></figure>
    <figure><canvas class="image" aria-hidden="true"></canvas><figcaption>the image with the nearest latent vector</figcaption></figure>
  </div>
  <p class="live" aria-live="polite"></p>
  <div class="row controls" role="group" aria-label="What the sliders move">
    <label><input type="radio" name="directions" value="axes" checked>principal axes</label>
    <label><input type="radio" name="directions" value="variables">single latent variables</label>
    <button type="button" class="reset">Reset the sliders</button>
  </div>
  <div class="sliders"></div>
  <p>A slider shows the position in standard deviations from the mean of ${count.toLocaleString("en-US")} latent vectors.
  The percentage of a principal axis is its share of their variance.</p>`);
  const [startCanvas, decodedCanvas, nearestCanvas] = root.querySelectorAll("canvas");
  const live = root.querySelector(".live"), grid = root.querySelector(".sliders");

  // A direction is a unit vector with a name and the standard deviation of the codes along it.
  const axes = data.axes.map(({ vector, sd, share }, j) => {
    return { name: `axis ${j + 1}, ${Math.round(100 * share)}%`, vector, sd };
  });
  const variables = data.sd.map((sd, j) => {
    return { name: `variable ${j + 1}`, vector: mean.map((_, i) => (i === j ? 1 : 0)), sd };
  });
  let start; // the index of the image
  let code; // the latent vector
  let sliders;

  function position({ vector, sd }) {
    let along = 0;
    for (let i = 0; i < hiddenDim; i++) along += vector[i] * (code[i] - mean[i]);
    return sd > 0 ? along / sd : 0;
  }

  /** The index of the nearest latent vector, and its distance. */
  function findNearest() {
    let nearest = 0, least = Infinity;
    for (let i = 0; i < count; i++) {
      let squared = 0;
      for (let j = 0; j < hiddenDim; j++) squared += (codes[i * hiddenDim + j] - code[j]) ** 2;
      if (squared < least) {
        nearest = i;
        least = squared;
      }
    }
    return { nearest, distance: Math.sqrt(least) };
  }

  function update() {
    for (const { direction, input, output } of sliders) {
      const value = position(direction);
      if (root.activeElement !== input) input.value = value;
      output.textContent = formatSigned(value);
      input.setAttribute("aria-valuetext", `${formatSigned(value)} standard deviations`);
    }
    showImage(decodedCanvas, decode(code), shape);
    const { nearest, distance } = findNearest(), name = names[classes[nearest]];
    showImage(nearestCanvas, image(nearest), shape);
    if (distance === 0) live.textContent = `This is the latent vector of an image with the label ${name}.`;
    else if (data.usualDistance > 0) {
      live.textContent = `The nearest latent vector is that of an image with the label ${name}. It is ` +
        `${(distance / data.usualDistance).toFixed(1)} times as far away as a nearest neighbor usually is.`;
    } else {
      live.textContent = `The nearest latent vector, at a distance of ${distance.toPrecision(2)}, is that of an image with the label ${name}.`;
    }
  }

  function startFrom(index) {
    start = index;
    code = codes.slice(index * hiddenDim, (index + 1) * hiddenDim);
    showImage(startCanvas, image(index), shape);
    buttons.forEach((button, number) => button.setAttribute("aria-pressed", number === classes[index]));
    update();
  }

  function createSliders(directions) {
    grid.replaceChildren();
    sliders = directions.map((direction) => {
      const label = addElement(grid, "label");
      const heading = addElement(label, "span", {}, direction.name), output = addElement(heading, "output");
      const input = addElement(label, "input", { type: "range", min: -4, max: 4, step: 0.05, "aria-label": direction.name });
      input.disabled = direction.sd === 0;
      input.addEventListener("input", () => {
        const step = (input.value - position(direction)) * direction.sd;
        for (let i = 0; i < hiddenDim; i++) code[i] += direction.vector[i] * step;
        update();
      });
      return { direction, input, output };
    });
  }

  const buttons = names.map((name, number) => {
    const attributes = { type: "button", title: "Press again for the next image" };
    const button = addElement(root.querySelector(".controls"), "button", attributes, name);
    button.addEventListener("click", () => {
      const from = classes[start] === number ? start + 1 : 0, next = classes.indexOf(number, from);
      startFrom(next === -1 ? classes.indexOf(number) : next);
    });
    return button;
  });
  root.querySelector(".reset").addEventListener("click", () => startFrom(start));
  for (const radio of root.querySelectorAll("[name=directions]")) {
    radio.addEventListener("change", () => {
      createSliders(radio.value === "axes" ? axes : variables);
      update();
    });
  }

  createSliders(axes);
  startFrom(0);
  host.dataset.ready = "";
}
