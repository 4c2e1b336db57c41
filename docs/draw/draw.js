/** A page to draw a digit on. It shows what three autoencoders reconstruct, and how well. */
async function drawDigit(host, data) {
  const example = await loadImages(data.examples), exampleShape = data.examples.shape;
  const SIZE = 280; // the side of the canvas, in pixels
  const SHAPE = [1, 28, 28]; // of a digit
  const root = createPage(host, `<style>
    .drawing { display: flex; gap: 0.75rem; flex: 0 1 23rem; }
    .pen { background: #000; flex: 1 1 12rem; min-width: 0; width: 100%; aspect-ratio: 1; touch-action: none; cursor: crosshair; border-radius: 6px; box-shadow: 0 0 0 1px #888; }
    .tools { flex: 0 0 4.6rem; display: flex; flex-direction: column; gap: 0.5rem; }
    .tools button { padding: 0.3em; }
    .results { flex: 1 1 20rem; display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 0.75rem; align-items: end; }
    .results h3 { font-size: 0.95em; margin: 0 0 0.3em; }
    .results p { font-size: 0.85em; }
    svg { width: 100%; height: 4.5rem; display: block; overflow: visible; }
    .examples { gap: 0.35rem; }
    .examples .image { width: 2rem !important; }
    .live { font-weight: bold; min-height: 3em; }
    meter { width: 100%; height: 1.2rem; margin-top: 1rem; }
  </style>
  <div class="row">
    <div class="drawing">
      <canvas class="pen" width="${SIZE}" height="${SIZE}" role="img" aria-label="Draw a digit here with the mouse, a finger or a pen"></canvas>
      <div class="tools">
        <figure><canvas class="image" aria-hidden="true"></canvas><figcaption>scaled and centered as in MNIST</figcaption></figure>
        <button type="button" class="clear">Clear</button>
        <button type="button" class="undo">Undo</button>
      </div>
    </div>
    <div class="results"></div>
  </div>
  <meter min="0" max="100" value="0" aria-label="percentage of MNIST digits with a smaller error"></meter>
  <p class="live" aria-live="polite"></p>
  <p>Or choose one of MNIST's digits. None of the three autoencoders was trained on them:</p>
  <div class="row examples"></div>
  <p>MNIST's digits were scaled to fit into 20 × 20 pixels and then moved until their center of mass was in the center
  of 28 × 28 pixels. Your drawing is treated in the same way, because the networks have only seen digits at this place
  and of this size.</p>
  <p>The bars are the 28 latent variables, in standard deviations (SD) from their mean over MNIST digits. Bars beyond
  3 SD are cut off. A large error means that the drawing is hard to reconstruct. It does not mean that the drawing is
  not a digit.</p>
  <p>Everything is computed in this page. Nothing that you draw leaves it.</p>`);
  const pen = root.querySelector(".pen"), context = pen.getContext("2d", { willReadFrequently: true });
  const imageCanvas = root.querySelector(".tools .image");
  const live = root.querySelector(".live"), meter = root.querySelector("meter");
  let strokes = []; // lists of points [x, y]
  let chosenExample = null; // its canvas
  let isWaiting = false; // for the next frame

  const panels = data.networks.map(({ name, encoder, decoder, mean, sd }) => {
    const section = addElement(root.querySelector(".results"), "section");
    addElement(section, "h3", {}, name);
    return {
      encode: buildNetwork(encoder),
      decode: buildNetwork(decoder),
      mean,
      sd,
      canvas: addElement(section, "canvas", { class: "image", "aria-hidden": "true" }),
      caption: addElement(section, "p", { title: "mean over all pixels, whose values are between -1 and 1" }),
      chart: addElement(section, "div"),
    };
  });

  function barChart(code, mean, sd) {
    const bars = mean.map((center, j) => {
      const height = Math.max(-3, Math.min(3, (code[j] - center) / sd[j]));
      return `<rect x="${j + 0.1}" width="0.8" y="${Math.min(0, -height)}" height="${Math.abs(height)}"/>`;
    });
    const axis = `<rect y="-0.02" width="${mean.length}" height="0.04"/>`;
    return `<svg viewBox="0 -3 ${mean.length} 6" preserveAspectRatio="none" fill="currentColor" role="img"
      aria-label="bar chart of ${mean.length} latent variables">${bars.join("")}${axis}</svg>`;
  }

  /** The percentage of MNIST digits with a smaller error, interpolated between quantiles. */
  function percentile(error) {
    const { quantiles } = data, last = quantiles.length - 1;
    if (error < quantiles[0]) return 0;
    const above = quantiles.findIndex((quantile) => quantile > error);
    if (above === -1) return 100;
    const low = quantiles[above - 1], high = quantiles[above];
    return (100 * (above - 1 + (error - low) / (high - low))) / last;
  }

  function drawStrokes() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIZE, SIZE);
    if (chosenExample) {
      context.imageSmoothingEnabled = false;
      context.drawImage(chosenExample, 0, 0, SIZE, SIZE);
    }
    context.strokeStyle = "#fff";
    context.lineWidth = 22;
    context.lineCap = "round";
    context.lineJoin = "round";
    for (const points of strokes) {
      context.beginPath();
      context.moveTo(points[0][0], points[0][1]);
      for (const [x, y] of points) context.lineTo(x + 0.01, y); // a line of length 0 is not drawn
      context.stroke();
    }
  }

  /** The drawing as the networks take it: 784 pixels from -1 to 1. */
  function readDrawing() {
    const { data: rgba } = context.getImageData(0, 0, SIZE, SIZE);
    const ink = new Float32Array(SIZE * SIZE);
    for (let i = 0; i < ink.length; i++) ink[i] = rgba[4 * i] / 255;
    const digit = prepareDrawing(ink, SIZE, SIZE) ?? new Float32Array(28 * 28);
    return digit.map((value) => 2 * value - 1);
  }

  function showResults() {
    isWaiting = false;
    drawStrokes();
    const image = readDrawing();
    showImage(imageCanvas, image, SHAPE);
    let error;
    for (const { encode, decode, mean, sd, canvas, caption, chart } of panels) {
      const code = encode(image), reconstruction = decode(code);
      let sum = 0;
      for (let i = 0; i < image.length; i++) sum += (reconstruction[i] - image[i]) ** 2;
      error = sum / image.length;
      showImage(canvas, reconstruction, SHAPE);
      caption.textContent = `squared error ${error.toFixed(3)}`;
      chart.innerHTML = barChart(code, mean, sd);
    }
    if (chosenExample || strokes.length) {
      const percentage = percentile(error); // of the last network
      meter.value = percentage;
      live.textContent = `How unusual is it? The ${data.networks.at(-1).name}'s error is larger than on ` +
        `${Math.round(percentage)}% of ${data.testDigits.toLocaleString("en-US")} MNIST digits that it was not trained on.`;
    } else {
      meter.value = 0;
      live.textContent = "Nothing is drawn yet.";
    }
    host.dataset.frames = Number(host.dataset.frames ?? 0) + 1;
  }

  function update() { // at most once a frame
    if (!isWaiting) requestAnimationFrame(showResults);
    isWaiting = true;
  }

  function startAgain(canvas = null) {
    chosenExample = canvas;
    strokes = [];
    update();
  }

  function pointOf({ clientX, clientY }) {
    const box = pen.getBoundingClientRect();
    return [((clientX - box.left) * SIZE) / box.width, ((clientY - box.top) * SIZE) / box.height];
  }
  pen.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    pen.setPointerCapture(event.pointerId);
    if (chosenExample) startAgain();
    strokes.push([pointOf(event)]);
    update();
  });
  pen.addEventListener("pointermove", (event) => {
    if (!pen.hasPointerCapture(event.pointerId)) return;
    const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [event];
    strokes.at(-1).push(...events.map(pointOf));
    update();
  });
  root.querySelector(".clear").addEventListener("click", () => startAgain());
  root.querySelector(".undo").addEventListener("click", () => {
    chosenExample = null;
    strokes.pop();
    update();
  });

  const exampleCanvases = data.names.map((name, i) => {
    const attributes = { class: "picture", type: "button", "aria-label": `choose this ${name}` };
    const button = addElement(root.querySelector(".examples"), "button", attributes);
    const canvas = addElement(button, "canvas", { class: "image", "aria-hidden": "true" });
    showImage(canvas, example(i), exampleShape);
    button.addEventListener("click", () => startAgain(canvas));
    return canvas;
  });

  chosenExample = exampleCanvases[data.first];
  showResults();
  host.dataset.ready = "";
}
