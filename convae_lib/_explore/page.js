// What all pages share. Each lives in a shadow root of its own: no style and no id leaves it.

const STYLE = `<style>
  :host { display: block; max-width: 56rem; line-height: 1.45; }
  * { box-sizing: border-box; }
  p { margin: 0.5em 0; }
  .row { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: flex-start; }
  figure { margin: 0; }
  figcaption { font-size: 0.85em; }
  canvas { display: block; max-width: 100%; }
  .image { background: #000; image-rendering: pixelated; width: 100%; border-radius: 4px; }
  .pictures { display: flex; gap: 0.75rem; }
  .pictures figure { flex: 0 1 8.5rem; min-width: 0; }
  button { font: inherit; color: inherit; background: none; border: 1px solid; border-radius: 6px;
    padding: 0.3em 0.7em; min-width: 2.4rem; min-height: 2.4rem; cursor: pointer; }
  button:hover { box-shadow: inset 0 0 0 1px; }
  button[aria-pressed="true"] { box-shadow: inset 0 0 0 2px; font-weight: bold; }
  button.picture { padding: 4px; font-size: 0.85em; line-height: 1.2; }
  button.picture .image { width: 2.6rem; margin: 0 auto 2px; }
  input { accent-color: #3f90da; }
  :focus-visible { outline: 3px solid #3f90da; outline-offset: 2px; }
</style>`;

/** The shadow root of a page; its still picture makes room for `markup`. */
function begin(host, markup) {
  host.setAttribute("data-lm-suppress-shortcuts", "true"); // or JupyterLab takes the keys
  host.replaceChildren();
  const root = host.attachShadow({ mode: "open" });
  root.innerHTML = STYLE + markup;
  return root;
}

/** Add an element with attributes and text; return it. */
function add(parent, name, attributes = {}, text = "") {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(text);
  parent.append(element);
  return element;
}

/** Draw an image, (1, H, W) or (3, H, W), of pixels from -1 to 1. */
function paint(canvas, pixels, [channels, height, width]) {
  [canvas.width, canvas.height] = [width, height];
  const picture = new ImageData(width, height), count = width * height;
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) picture.data[4 * i + c] = (pixels[(c % channels) * count + i] + 1) * 127.5;
    picture.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(picture, 0, 0);
}

/** Many images in one PNG: a function that gives the pixels of each, from -1 to 1. */
async function sprite({ uri, columns, shape: [channels, height, width] }) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return (index) => {
    const left = (index % columns) * width, top = Math.floor(index / columns) * height;
    const { data } = context.getImageData(left, top, width, height);
    return Float32Array.from({ length: channels * height * width }, (_, i) => {
      const channel = Math.floor(i / (height * width));
      return data[4 * (i % (height * width)) + channel] / 127.5 - 1;
    });
  };
}

/** A number with its sign, a real minus, and one decimal. */
function signed(value) {
  const text = Math.abs(value).toFixed(1);
  return `${text === "0.0" ? "±" : value < 0 ? "−" : "+"}${text}`;
}
