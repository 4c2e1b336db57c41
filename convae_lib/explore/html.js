// Shared by all pages. A page lives in a shadow root, which its styles and ids do not leave.

const STYLE = `<style>
  :host { display: block; max-width: 56rem; line-height: 1.45; }
  * { box-sizing: border-box; }
  p { margin: 0.5em 0; }
  .row { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: flex-start; }
  figure { margin: 0; }
  figcaption { font-size: 0.85em; }
  canvas { display: block; max-width: 100%; }
  .image { background: #000; image-rendering: pixelated; width: 100%; border-radius: 4px; box-shadow: 0 0 0 1px #888; }
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

/** Replaces the still picture of a page by HTML; returns the shadow root that holds it. */
function createPage(host, markup) {
  host.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab leaves the keys to the page
  host.replaceChildren();
  const root = host.attachShadow({ mode: "open" });
  root.innerHTML = STYLE + markup;
  return root;
}

/** Adds an element with attributes and text to another one, and returns it. */
function addElement(parent, name, attributes = {}, text = "") {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(text); // as text, whatever it looks like
  parent.append(element);
  return element;
}

/** The bytes that a base64 text stands for. */
function decodeBytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** A finite number in half precision (IEEE 754), from its 16 bits. */
function halfToNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * 2 ** -24 * fraction;
  return sign * 2 ** (exponent - 25) * (1024 + fraction);
}

/** The numbers that Python's `pack` stored. */
function unpack({ dtype, base64 }) {
  const { buffer } = decodeBytes(base64);
  switch (dtype) {
    case "uint8": return new Uint8Array(buffer);
    case "uint16": return new Uint16Array(buffer);
    case "float16": return Float32Array.from(new Uint16Array(buffer), halfToNumber);
    case "float32": return new Float32Array(buffer);
    default: throw new TypeError(`unknown dtype ${dtype}`);
  }
}

/** Shows an image, (1, H, W) or (3, H, W), with pixels from -1 to 1. */
function showImage(canvas, pixels, [channels, height, width]) {
  canvas.width = width;
  canvas.height = height;
  const picture = new ImageData(width, height), count = width * height;
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) {
      const channel = c % channels; // a grayscale image has the same red, green and blue
      picture.data[4 * i + c] = (pixels[channel * count + i] + 1) * 127.5;
    }
    picture.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(picture, 0, 0);
}

/** Reads what Python's `image_sheet` stored: a function that returns the pixels of an image. */
async function loadImages({ uri, columns, shape: [channels, height, width] }) {
  const sheet = new Image();
  sheet.src = uri;
  await sheet.decode();
  const canvas = document.createElement("canvas");
  canvas.width = sheet.width;
  canvas.height = sheet.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(sheet, 0, 0);
  return (index) => {
    const left = (index % columns) * width, top = Math.floor(index / columns) * height;
    const { data } = context.getImageData(left, top, width, height);
    const count = height * width, pixels = new Float32Array(channels * count);
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < count; i++) pixels[c * count + i] = data[4 * i + c] / 127.5 - 1;
    return pixels;
  };
}

/** A number with its sign, a real minus, and one decimal. */
function formatSigned(value) {
  const digits = Math.abs(value).toFixed(1);
  if (digits === "0.0") return "0.0";
  return (value < 0 ? "−" : "+") + digits;
}
