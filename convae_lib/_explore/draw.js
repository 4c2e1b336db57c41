/** A page to draw a digit on: what three autoencoders keep of it, live, and how unusual it is. */
async function drawDigit(host, data) {
  const examples = await sprite(data.examples), size = 280;
  const networks = data.networks.map((one) => ({ ...one, encode: network(one.encoder), decode: network(one.decoder) }));
  const root = begin(host, `<style>
    .drawing { display: flex; gap: 0.75rem; flex: 0 1 23rem; }
    .pen { background: #000; flex: 1 1 12rem; min-width: 0; width: 100%; aspect-ratio: 1; touch-action: none; cursor: crosshair; border-radius: 6px; }
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
      <canvas class="pen" width="${size}" height="${size}" role="img" aria-label="Draw a digit here, with a mouse, a finger or a pen"></canvas>
      <div class="tools">
        <figure><canvas class="image" aria-hidden="true"></canvas><figcaption>as MNIST would hold it</figcaption></figure>
        <button type="button">Clear</button><button type="button">Undo</button>
      </div>
    </div>
    <div class="results"></div>
  </div>
  <meter min="0" max="100" value="0" aria-label="share of MNIST's digits with a smaller error, in percent"></meter>
  <p class="live" aria-live="polite"></p>
  <p>Or take one of MNIST's own digits, none of which trained these networks:</p>
  <div class="row examples"></div>
  <p>MNIST's digits were scaled to fit into 20 × 20 pixels, and moved until their centre of mass stood in the middle of
  28 × 28. Your drawing is treated likewise, or the networks, which never saw a digit elsewhere, would fail.</p>
  <p>Bars are the 28 numbers of a code, in standard deviations among MNIST's digits, cut at three. A large error means
  hard to redraw, which is not the same as no digit.</p>
  <p class="time"></p>`);
  const pen = root.querySelector(".pen"), context = pen.getContext("2d", { willReadFrequently: true });
  const [clear, undo] = root.querySelectorAll(".tools button"), small = root.querySelector(".tools .image");
  const live = root.querySelector(".live"), meter = root.querySelector("meter");
  let strokes = [], example = null, waiting = false;

  const panels = networks.map(({ name }) => {
    const panel = add(root.querySelector(".results"), "section");
    add(panel, "h3", {}, name);
    const canvas = add(panel, "canvas", { class: "image", "aria-hidden": "true" });
    const caption = add(panel, "p", { title: "mean over the pixels, which are between -1 and 1" });
    const bars = add(panel, "div");
    return { canvas, caption, bars };
  });

  /** Bars of a code, in standard deviations among MNIST's digits; those beyond three are cut. */
  function chart(code, { mean, sd }) {
    const rects = mean.map((middle, j) => {
      const height = Math.max(-3, Math.min(3, (code[j] - middle) / sd[j]));
      return `<rect x="${j + 0.1}" width="0.8" y="${Math.min(0, -height)}" height="${Math.abs(height)}"/>`;
    });
    return `<svg viewBox="0 -3 ${mean.length} 6" preserveAspectRatio="none" fill="currentColor" role="img"
      aria-label="${mean.length} numbers, as bars">${rects.join("")}<rect y="-0.02" width="${mean.length}" height="0.04"/></svg>`;
  }

  /** The share of held-out digits, in percent, whose error is smaller. */
  function percentile(error) {
    const above = data.quantiles.findIndex((quantile) => quantile > error);
    if (above < 1) return above === 0 ? 0 : 100;
    const [low, high] = [data.quantiles[above - 1], data.quantiles[above]];
    return ((above - 1 + (error - low) / (high - low)) * 100) / (data.quantiles.length - 1);
  }

  function redraw() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, size, size);
    if (example) {
      context.imageSmoothingEnabled = false;
      context.drawImage(example, 0, 0, size, size);
    }
    Object.assign(context, { strokeStyle: "#fff", lineWidth: 22, lineCap: "round", lineJoin: "round" });
    for (const points of strokes) {
      context.beginPath();
      context.moveTo(...points[0]);
      points.forEach(([x, y]) => context.lineTo(x + 0.01, y)); // or a dot would have no length
      context.stroke();
    }
  }

  function look() {
    const began = performance.now();
    waiting = false;
    redraw();
    const { data: rgba } = context.getImageData(0, 0, size, size);
    const ink = new Float32Array(size * size);
    for (let i = 0; i < ink.length; i++) ink[i] = rgba[4 * i] / 255;
    const image = (prepare(ink, size, size) ?? new Float32Array(784)).map((value) => 2 * value - 1);
    paint(small, image, [1, 28, 28]);
    let error;
    networks.forEach((one, i) => {
      const code = one.encode(image), copy = one.decode(code);
      error = copy.reduce((sum, pixel, j) => sum + (pixel - image[j]) ** 2, 0) / copy.length;
      paint(panels[i].canvas, copy, [1, 28, 28]);
      panels[i].caption.textContent = `squared error ${error.toFixed(3)}`;
      panels[i].bars.innerHTML = chart(code, one);
    });
    const empty = !example && !strokes.length, share = percentile(error); // the last network's, the best
    meter.value = empty ? 0 : share;
    live.textContent = empty ? "Nothing drawn yet." : `How unusual? The better network's error is larger than on ` +
      `${Math.round(share)}% of ${data.held.toLocaleString("en")} MNIST digits it never saw.`;
    const milliseconds = (performance.now() - began).toFixed(1);
    root.querySelector(".time").textContent = `Computed on this page, in ${milliseconds} ms; nothing you draw leaves it.`;
    Object.assign(host.dataset, { milliseconds, frames: +(host.dataset.frames ?? 0) + 1 });
  }

  function soon() { // at most once a frame
    if (!waiting) requestAnimationFrame(look);
    waiting = true;
  }

  const at = ({ clientX, clientY }) => {
    const box = pen.getBoundingClientRect();
    return [((clientX - box.left) * size) / box.width, ((clientY - box.top) * size) / box.height];
  };
  pen.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    pen.setPointerCapture(event.pointerId);
    if (example) [example, strokes] = [null, []];
    strokes.push([at(event)]);
    soon();
  });
  pen.addEventListener("pointermove", (event) => {
    if (!pen.hasPointerCapture(event.pointerId)) return;
    for (const part of event.getCoalescedEvents?.() ?? [event]) strokes.at(-1).push(at(part));
    soon();
  });
  clear.addEventListener("click", () => { [example, strokes] = [null, []]; soon(); });
  undo.addEventListener("click", () => { example = null; strokes.pop(); soon(); });

  data.names.forEach((name, i) => {
    const button = add(root.querySelector(".examples"), "button", { class: "picture", type: "button", "aria-label": `take this ${name}` });
    const canvas = add(button, "canvas", { class: "image", "aria-hidden": "true" });
    paint(canvas, examples(i), data.examples.shape);
    button.addEventListener("click", () => { [example, strokes] = [canvas, []]; soon(); });
    if (i === data.first) example = canvas;
  });

  for (let i = 0; i < 5; i++) look(); // the browser compiles what runs often
  host.dataset.ready = "";
}
