// Draws paths as a squarified treemap (Bruls, Huizing, van Wijk, 2000): a frame for each layer, in it a box for each path.
// They are elements of HTML and not of SVG, which cannot cut a name short, and whose parts no list of options may hold.

const SVG = "http://www.w3.org/2000/svg";
/** Pixels between frames, and between the boxes of a frame. */
const GAP = { frame: 3, box: 1 };
/** Pixels that a box must have to be called by name, and to tell its size too. */
const ROOM = { name: [48, 16], size: [64, 34] };

/** Divides an area into one for each weight, which are in falling order; `[x, y, width, height]` each. */
function squarify(weights, [x, y, width, height]) {
  const areas = [];
  let left = weights.reduce((sum, weight) => sum + weight, 0);
  for (let at = 0; at < weights.length;) {
    const short = Math.min(width, height);
    const scale = left > 0 ? (width * height) / left : 0;
    let [row, end, worst] = [0, at, Infinity];
    // A row takes in more as long as its boxes become more like squares.
    while (end < weights.length) {
      const sum = row + weights[end];
      const thick = (sum * scale) / short;
      const ratio = (weight) => Math.max(thick / ((weight * scale) / thick), (weight * scale) / thick / thick);
      const next = Math.max(ratio(weights[at]), ratio(weights[end]));
      if (!(next <= worst) && end > at) {
        break;
      }
      [row, end, worst] = [sum, end + 1, next];
    }
    const thick = short > 0 ? (row * scale) / short : 0;
    let along = 0;
    for (; at < end; at += 1) {
      const length = row > 0 ? (short * weights[at]) / row : 0;
      areas.push(width >= height ? [x, y + along, thick, length] : [x + along, y, length, thick]);
      along += length;
    }
    left -= row;
    [x, y, width, height] = width >= height ? [x + thick, y, width - thick, height] : [x, y + thick, width, height - thick];
  }
  return areas;
}

/** The boxes by path, and the area of each in the picture. */
const boxes = new Map();
const areas = new Map();

/** Makes the frames and the boxes, without places. */
function makeMap(map, colourOf) {
  const shownLayers = layers.map((layer, number) => ({ number, own: layer.paths.filter((index) => paths[index].size > 0) }));
  for (const { number, own } of shownLayers.filter(({ own }) => own.length > 0)) {
    const frame = element("div", { class: "frame", role: "group", "aria-label": `Layer ${number}` });
    frame.dataset.layer = number;
    own.sort((a, b) => paths[b].size - paths[a].size || byText(paths[a].path, paths[b].path));
    for (const index of own) {
      const { name, size } = paths[index];
      const label = `${shown(name)} ${bytes(size)}, layer ${number}`;
      const box = element("div", { class: "box", role: "option", id: `p${index}`, "aria-label": label });
      box.dataset.path = index;
      colourOf(box, index);
      boxes.set(index, box);
      frame.append(box);
    }
    map.append(frame);
  }
  const veil = document.createElementNS(SVG, "svg");
  veil.id = "veil";
  veil.setAttribute("aria-hidden", "true");
  veil.setAttribute("preserveAspectRatio", "none");
  veil.append(document.createElementNS(SVG, "path"));
  map.append(veil);
}

/** Covers the boxes that are not looked at. One shape over all of them takes a frame; two thousand styles take several. */
function drawVeil(map, isCovered) {
  const parts = [];
  for (const [index, [x, y, width, height]] of areas) {
    if (isCovered(index)) {
      parts.push(`M${x.toFixed(1)} ${y.toFixed(1)}h${width.toFixed(1)}v${height.toFixed(1)}h${(-width).toFixed(1)}z`);
    }
  }
  const veil = at("veil");
  veil.setAttribute("viewBox", `0 0 ${map.clientWidth} ${map.clientHeight}`);
  veil.firstChild.setAttribute("d", parts.join(""));
}

/** Gives frames and boxes their places, in parts of the picture, so that it can be printed at any size. */
function placeMap(map) {
  const [width, height] = [map.clientWidth, map.clientHeight];
  const frames = [...map.querySelectorAll(".frame")].map((frame) => {
    const own = [...frame.children].map((box) => Number(box.dataset.path));
    return { frame, own, size: own.reduce((sum, index) => sum + paths[index].size, 0) };
  });
  const inOrder = [...frames].sort((a, b) => b.size - a.size || a.frame.dataset.layer - b.frame.dataset.layer);
  squarify(inOrder.map(({ size }) => size), [0, 0, width, height]).forEach((area, at) => {
    const { frame, own } = inOrder[at];
    const inner = [area[0], area[1], Math.max(area[2] - GAP.frame, 0), Math.max(area[3] - GAP.frame, 0)];
    place(frame, area, inner, [0, 0, width, height]);
    squarify(own.map((index) => paths[index].size), inner).forEach((whole, position) => {
      const box = boxes.get(own[position]);
      const [x, y, w, h] = whole;
      const area = [x, y, Math.max(w - GAP.box, 0.3), Math.max(h - GAP.box, 0.3)];
      place(box, whole, area, inner);
      areas.set(own[position], area);
      const fits = ([least, high]) => area[2] >= least && area[3] >= high;
      if (fits(ROOM.name) && box.childElementCount === 0) {
        const { name, size } = paths[own[position]];
        box.append(element("b", {}, shown(name)), " ", element("small", {}, bytes(size)));
      }
      box.classList.toggle("named", fits(ROOM.name));
      box.classList.toggle("sized", fits(ROOM.size));
    });
  });
}

function place(box, [x, y], [, , width, height], [left, top, outerWidth, outerHeight]) {
  const part = (length, whole) => `${((100 * length) / (whole || 1)).toFixed(3)}%`;
  box.style.left = part(x - left, outerWidth);
  box.style.top = part(y - top, outerHeight);
  box.style.width = part(width, outerWidth);
  box.style.height = part(height, outerHeight);
}

/** The next box from one in the direction of a key: the nearest whose middle lies there, those straight ahead first. */
function neighbour(from, key) {
  const [x, y, width, height] = areas.get(from);
  const along = key === "ArrowLeft" || key === "ArrowRight" ? 0 : 1;
  const sign = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
  const middle = [x + width / 2, y + height / 2];
  let [best, least] = [from, Infinity];
  for (const [index, area] of areas) {
    const away = [area[0] + area[2] / 2 - middle[0], area[1] + area[3] / 2 - middle[1]];
    // How far the edges are apart, across the direction.
    const aside = Math.max(area[1 - along] - [x, y][1 - along] - [width, height][1 - along],
      [x, y][1 - along] - area[1 - along] - area[3 - along], 0);
    const cost = Math.abs(away[along]) + 3 * aside + Math.abs(away[1 - along]) / 8;
    if (sign * away[along] > 0.5 && cost < least && index !== from) {
      [best, least] = [index, cost];
    }
  }
  return best;
}
