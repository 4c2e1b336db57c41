/** A map of an embedding: each point shows its image and its neighbors in the latent space. */
async function digitMap(host, data) {
  const image = await loadImages(data.images), reconstruction = await loadImages(data.reconstructions);
  const coordinates = unpack(data.points), classes = unpack(data.classes);
  const neighbors = unpack(data.neighbors);
  const { names, colors } = data, { shape } = data.images;
  const count = classes.length, nNeighbors = neighbors.length / count;
  const SIZE = 1000; // the side of the map, in units of its drawing
  const FAR = 0.94 * SIZE / 10; // a tenth of what the points fill
  const xs = Array.from({ length: count }, (_, i) => (coordinates[2 * i] / 65535) * SIZE);
  const ys = Array.from({ length: count }, (_, i) => (coordinates[2 * i + 1] / 65535) * SIZE);

  const root = createPage(host, `<style>
    .map { position: relative; flex: 1 1 18rem; max-width: 32rem; background: #fff; border-radius: 6px; cursor: crosshair; }
    .map:focus-visible { outline-offset: -3px; }
    .map canvas, .map svg { width: 100%; display: block; }
    .map svg { position: absolute; inset: 0; pointer-events: none; }
    .map text { font: bold 30px sans-serif; text-anchor: middle; dominant-baseline: central; fill: #111; }
    .side { flex: 1 1 17rem; max-width: 22rem; }
    .neighbors { gap: 0.4rem; }
    .neighbors button { max-width: 100%; }
    .neighbors span { white-space: pre-line; overflow-wrap: anywhere; }
    .live { min-height: 6em; }
  </style>
  <div class="row">
    <div class="map" tabindex="0" role="application" aria-label="Embedding of ${count} latent vectors. The arrow keys move to the next point, with Shift to one further away.">
      <canvas width="${SIZE}" height="${SIZE}"></canvas>
      <svg viewBox="0 0 ${SIZE} ${SIZE}" aria-hidden="true"><g class="labels"></g><g class="lines"></g></svg>
    </div>
    <div class="side">
      <div class="pictures">
        <figure><canvas class="image" aria-hidden="true"></canvas><figcaption>image</figcaption></figure>
        <figure><canvas class="image" aria-hidden="true"></canvas><figcaption>reconstruction</figcaption></figure>
      </div>
      <p>Nearest neighbors in the latent space (press one to go to it):</p>
      <div class="row neighbors"></div>
      <p class="live" aria-live="polite"></p>
    </div>
  </div>
  <p>Point at the map. Or press Tab until it has the focus, and use the arrow keys; with Shift they take larger steps.</p>`);
  const map = root.querySelector(".map"), live = root.querySelector(".live");
  const labels = root.querySelector(".labels"), lines = root.querySelector(".lines");
  const [imageCanvas, reconstructionCanvas] = root.querySelectorAll("figure canvas");
  let selected;

  function distance(i, x, y) {
    return Math.hypot(xs[i] - x, ys[i] - y);
  }

  function neighborsOf(index) {
    return Array.from(neighbors.subarray(index * nNeighbors, (index + 1) * nNeighbors));
  }

  const buttons = Array.from({ length: nNeighbors }, (_, rank) => {
    const button = addElement(root.querySelector(".neighbors"), "button", { class: "picture", type: "button" });
    const canvas = addElement(button, "canvas", { class: "image", "aria-hidden": "true" });
    const text = addElement(button, "span");
    button.addEventListener("click", () => select(neighborsOf(selected)[rank]));
    return { button, canvas, text };
  });

  function drawPoints() {
    const context = map.querySelector("canvas").getContext("2d");
    const radius = Math.min(10, Math.max(4.5, 200 / Math.sqrt(count)));
    context.globalAlpha = 0.65;
    for (let i = 0; i < count; i++) {
      context.fillStyle = colors[classes[i]];
      context.beginPath();
      context.arc(xs[i], ys[i], radius, 0, 2 * Math.PI);
      context.fill();
    }
  }

  function drawLabels() {
    labels.innerHTML = data.labelPositions.map(([number, left, top]) => {
      const half = 12 + 10 * names[number].length; // of the width
      const x = Math.max(half, Math.min(SIZE - half, left * SIZE));
      const y = Math.max(25, Math.min(SIZE - 25, top * SIZE));
      return `<rect x="${x - half}" y="${y - 22}" width="${2 * half}" height="44" rx="22" fill="#fff"
        stroke-width="5" stroke="${colors[number]}"/><text x="${x}" y="${y}"></text>`;
    }).join("");
    labels.querySelectorAll("text").forEach((text, i) => text.append(names[data.labelPositions[i][0]]));
  }

  function drawLines(index) {
    const x = xs[index], y = ys[index];
    const toNeighbors = neighborsOf(index).map((i) =>
      `<path d="M${x} ${y}L${xs[i]} ${ys[i]}" stroke="#111" stroke-width="3"/>
      <circle cx="${xs[i]}" cy="${ys[i]}" r="12" fill="none" stroke="#111" stroke-width="4"/>`);
    const center = `<circle cx="${x}" cy="${y}" r="18" fill="#fff8" stroke="#111" stroke-width="7"/>`;
    lines.innerHTML = toNeighbors.join("") + center;
  }

  function select(index) {
    selected = index;
    drawLines(index);
    showImage(imageCanvas, image(index), shape);
    showImage(reconstructionCanvas, reconstruction(index), shape);
    let nFar = 0;
    const neighborNames = neighborsOf(index).map((i, rank) => {
      const name = names[classes[i]], isFar = distance(i, xs[index], ys[index]) > FAR;
      if (isFar) nFar += 1;
      const { button, canvas, text } = buttons[rank];
      showImage(canvas, image(i), shape);
      text.textContent = `${name}\n${isFar ? "far" : "near"}`;
      button.setAttribute("aria-label", `go to neighbor ${rank + 1}: ${name}, ${isFar ? "far away" : "near"} on the map`);
      return name;
    });
    live.textContent = `Label: ${names[classes[index]]}. Labels of the ${nNeighbors} nearest neighbors: ` +
      `${neighborNames.join(", ")}. Of these neighbors, ${nFar} ${nFar === 1 ? "is" : "are"} far away on the map: ` +
      "by more than a tenth of its width.";
  }

  function selectByPointer(event) {
    const box = map.getBoundingClientRect();
    const x = (SIZE * (event.clientX - box.left)) / box.width;
    const y = (SIZE * (event.clientY - box.top)) / box.height;
    let nearest = 0;
    for (let i = 1; i < count; i++)
      if (distance(i, x, y) < distance(nearest, x, y)) nearest = i;
    if (nearest !== selected && distance(nearest, x, y) < 60) select(nearest);
  }
  map.addEventListener("pointermove", selectByPointer);
  map.addEventListener("pointerdown", selectByPointer);

  const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  map.addEventListener("keydown", (event) => {
    if (!(event.key in DIRECTIONS)) return;
    event.preventDefault();
    const [dx, dy] = DIRECTIONS[event.key], leastStep = event.shiftKey ? SIZE / 10 : 0;
    let next = selected, leastCost = Infinity;
    for (let i = 0; i < count; i++) {
      const right = xs[i] - xs[selected], down = ys[i] - ys[selected];
      const along = right * dx + down * dy, aside = Math.abs(right * dy) + Math.abs(down * dx);
      const isInDirection = along > leastStep && aside <= along; // within 45 degrees
      if (isInDirection && along + aside < leastCost) {
        next = i;
        leastCost = along + aside;
      }
    }
    if (next !== selected) select(next);
  });

  drawPoints();
  drawLabels();
  select(data.first);
  host.dataset.ready = "";
}
