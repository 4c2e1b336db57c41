/** A map of codes: each shows its image, and its nearest neighbours in the code, wherever they lie. */
async function digitMap(host, data) {
  const images = await sprite(data.images), copies = await sprite(data.reconstructions);
  const xy = new Uint16Array(bytes(data.points).buffer), count = xy.length / 2;
  const near = new Uint16Array(bytes(data.neighbors).buffer), k = near.length / count;
  const classes = bytes(data.classes), names = data.names, shape = data.images.shape;
  const place = (i) => [xy[2 * i] / 65.535, xy[2 * i + 1] / 65.535]; // from 0 to 1000

  const root = begin(host, `<style>
    .map { position: relative; flex: 1 1 18rem; max-width: 32rem; background: #fff; border-radius: 6px; cursor: crosshair; }
    .map:focus-visible { outline-offset: -3px; }
    .map canvas, .map svg { width: 100%; display: block; }
    .map svg { position: absolute; inset: 0; pointer-events: none; }
    .map text { font: bold 30px sans-serif; text-anchor: middle; dominant-baseline: central; fill: #111; }
    .side { flex: 1 1 17rem; max-width: 22rem; }
    .near { gap: 0.4rem; }
    .near span { white-space: pre-line; }
    .live { min-height: 4.5em; }
  </style>
  <div class="row">
    <div class="map" tabindex="0" role="application" aria-label="Map of ${count} codes: arrow keys move, with Shift far">
      <canvas width="1000" height="1000"></canvas><svg viewBox="0 0 1000 1000" aria-hidden="true"><g></g><g></g></svg>
    </div>
    <div class="side">
      <div class="pictures">
        <figure><canvas class="image" aria-hidden="true"></canvas><figcaption>the image</figcaption></figure>
        <figure><canvas class="image" aria-hidden="true"></canvas><figcaption>its reconstruction</figcaption></figure>
      </div>
      <p>Its nearest in the code; press one to go there:</p>
      <div class="row near"></div>
      <p class="live" aria-live="polite"></p>
    </div>
  </div>
  <p>Point at the map, or focus on it and press the arrow keys (with Shift: far).</p>`);
  const map = root.querySelector(".map"), [badges, lines] = root.querySelectorAll("svg g");
  const [shown, copied] = root.querySelectorAll("figure canvas");
  const buttons = Array.from({ length: k }, (_, j) => {
    const button = add(root.querySelector(".near"), "button", { class: "picture", type: "button" });
    const parts = [add(button, "canvas", { class: "image", "aria-hidden": "true" }), add(button, "span")];
    button.addEventListener("click", () => select(near[selected * k + j]));
    return [button, ...parts];
  });

  const context = map.querySelector("canvas").getContext("2d");
  context.globalAlpha = 0.65;
  for (let i = 0; i < count; i++) {
    context.fillStyle = data.colors[classes[i]];
    context.beginPath();
    context.arc(...place(i), Math.min(10, Math.max(4.5, 200 / Math.sqrt(count))), 0, 2 * Math.PI);
    context.fill();
  }
  badges.innerHTML = data.places.map(([c, x, y]) => {
    const width = 24 + 20 * names[c].length;
    return `<rect x="${x - width / 2}" y="${y - 22}" width="${width}" height="44" rx="22" fill="#fff" stroke-width="5"
      stroke="${data.colors[c]}"/><text x="${x}" y="${y}"></text>`;
  }).join("");
  badges.querySelectorAll("text").forEach((text, i) => text.append(names[data.places[i][0]]));

  let selected;
  function select(index) {
    selected = index;
    const [x, y] = place(index), others = Array.from(near.subarray(index * k, (index + 1) * k));
    const far = others.filter((i) => Math.hypot(place(i)[0] - x, place(i)[1] - y) > 94); // a tenth of what the map fills
    lines.innerHTML = others.map((i) => {
      const [u, v] = place(i);
      return `<path d="M${x} ${y}L${u} ${v}" stroke="#111" stroke-width="3"/>
        <circle cx="${u}" cy="${v}" r="12" fill="none" stroke="#111" stroke-width="4"/>`;
    }).join("") + `<circle cx="${x}" cy="${y}" r="18" fill="#fff8" stroke="#111" stroke-width="7"/>`;
    paint(shown, images(index), shape);
    paint(copied, copies(index), shape);
    buttons.forEach(([button, canvas, label], j) => {
      const name = names[classes[others[j]]], away = far.includes(others[j]) ? "far off" : "near";
      paint(canvas, images(others[j]), shape);
      label.textContent = `${name}\n${away}`;
      button.setAttribute("aria-label", `go to neighbour ${j + 1}: ${name}, ${away} on the map`);
    });
    const list = others.map((i) => names[classes[i]]).join(", ");
    root.querySelector(".live").textContent = `Label ${names[classes[index]]}. Its ${k} nearest in the code: ${list}. ` +
      `Of these, ${far.length} lie far off on the map, by more than a tenth of its width.`;
  }

  function hover(event) {
    const box = map.getBoundingClientRect();
    const x = (1000 * (event.clientX - box.left)) / box.width, y = (1000 * (event.clientY - box.top)) / box.height;
    let best = 0, least = Infinity;
    for (let i = 0; i < count; i++) {
      const distance = Math.hypot(place(i)[0] - x, place(i)[1] - y);
      if (distance < least) [best, least] = [i, distance];
    }
    if (best !== selected && least < 60) select(best);
  }
  map.addEventListener("pointermove", hover);
  map.addEventListener("pointerdown", hover);

  const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  map.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS)) return;
    event.preventDefault();
    const [dx, dy] = KEYS[event.key], [x, y] = place(selected), leap = event.shiftKey ? 100 : 0;
    let best = selected, least = Infinity;
    for (let i = 0; i < count; i++) {
      const [right, down] = [place(i)[0] - x, place(i)[1] - y];
      const along = right * dx + down * dy, aside = Math.abs(right * dy) + Math.abs(down * dx);
      if (along > leap && aside <= along && along + aside < least) [best, least] = [i, along + aside];
    }
    if (best !== selected) select(best);
  });

  select(data.first);
  host.dataset.ready = "";
}
