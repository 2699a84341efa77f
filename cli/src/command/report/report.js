// Fills the page: figures, layers, picture, prices and table, and what pointer and keys do with them.

const at = (id) => document.getElementById(id);
const root = document.documentElement;
/** Which paths are looked at: those that a text is in, of one layer, and the one that is kept. */
const view = { text: "", layer: null, kept: null, active: null, all: false, sort: "size", falling: true };

const mostSent = Math.max(...paths.map((path) => path.sentByChange ?? 0), 1);
const mostPaid = Math.max(...layers.map((layer) => layer.bytesPerUpdate ?? 0), 1);

/** A colour by layer, by what an update does, by cost: the style sheet takes the one that is asked for. */
function colour(made, layer, update, cost) {
  const part = layers.length > 1 ? layer / (layers.length - 1) : 0;
  made.style.setProperty("--hue", (262 - 215 * part).toFixed(1));
  made.style.setProperty("--step", layer % 2 === 0 ? "0" : "1");
  made.style.setProperty("--cost", cost.toFixed(3));
  if (data.old) {
    made.classList.add(update);
  }
}

function fillHead() {
  const { image, old } = data;
  // An OCI layout has an image under its name, and under its tag alone.
  const others = image.repoTags.slice(1).filter((tag) => !image.repoTags[0].endsWith(`:${tag}`));
  at("name").textContent = shown(image.repoTags[0] ?? "image without a name");
  const facts = [image.platform, image.created && `made ${image.created.slice(0, 10)}`, `image ID ${image.imageId.slice(7, 19)}`,
    others.length > 0 && `also ${others.join(", ")}`];
  at("facts").textContent = facts.filter(Boolean).map(shown).join(" · ");
  if (image.command.length > 0) {
    at("command").hidden = false;
    at("command").querySelector("code").textContent = shown(image.command.join(" "));
  }
  const stored = paths.filter((path) => path.kind === "storePath" && path.copyOf === undefined).length;
  const figures = [["Size", bytes(image.size)]];
  if (image.plainSize !== image.size) {
    figures.push(["Unpacked", bytes(image.plainSize)]);
  }
  figures.push(["Layers", count(layers.length)], stored > 0 ? ["Store paths", count(stored)] : ["Directories", count(paths.length)]);
  if (old) {
    const sent = layers.filter((layer) => layer.state === "sent").reduce((sum, layer) => sum + layer.size, 0);
    figures.push([`Sent over ${shown(old.repoTags[0] ?? old.imageId.slice(7, 19))}`, bytes(sent)]);
  }
  if (prices && prices.changes > 0) {
    figures.push(["One change sends", bytes(prices.bytesPerUpdate / prices.changes)]);
  }
  at("figures").append(...figures.map(([what, value]) => element("div", {}, element("dt", {}, what), element("dd", {}, value))));
}

function fillLayers() {
  const largest = Math.max(...layers.map((layer) => layer.size), 1);
  at("stack-note").textContent = "The uppermost first; a bar is what is stored of a layer.";
  for (let number = layers.length - 1; number >= 0; number -= 1) {
    const { size, state, changes, bytesPerUpdate, diffId } = layers[number];
    const says = [`layer ${number}, ${bytes(size)}`, state && (state === "there" ? "there already" : "sent"),
      changes !== undefined && `sent again for ${many(changes, "change")}`, diffId].filter(Boolean).join("\n");
    const bar = element("i", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${((100 * size) / largest).toFixed(2)}%`;
    colour(bar, number, state === "there" ? "there" : "new", (bytesPerUpdate ?? 0) / mostPaid);
    const state_ = state && element("span", { class: "state" }, state);
    const button = element("button", { type: "button", "aria-pressed": "false", title: says },
      element("span", { class: "ordinal" }, String(number)), element("span", { class: "holds" }, holds(number)), state_,
      element("span", { class: "number" }, bytes(size)), element("span", { class: "track" }, bar));
    button.dataset.layer = number;
    at("layers").append(element("li", {}, button));
  }
}

function fillLegend() {
  const swatch = (name, text) => element("span", { class: `swatch ${name}` }, text);
  const colours = {
    layer: ["Boxes are as large as what they hold, framed by layer; colours run from the bottom layer to the top one."],
    update: [swatch("there", "there already "), swatch("again", "sent again, though the old image has it "), swatch("new", "sent")],
    cost: [swatch("low", "little "), swatch("high", `up to ${bytes(mostSent)} are sent when it changes, with all that depends on it`)],
  };
  at("legend").replaceChildren(...colours[root.dataset.colour]);
}

function fillPrices() {
  if (!prices || prices.changes === 0) {
    return;
  }
  at("prices").hidden = false;
  const from = data.references === "scan" ? "found in the files" : "of the graph";
  at("prices-note").textContent = `When a path changes, all that depends on it gets another name, and each layer that holds any of it is sent again. `
    + `The average over the changes of ${many(prices.changes, "path")}, of ${bytes(prices.size)} in all; references are those ${from}.`;
  const rows = [["this image", prices.layers, prices.bytesPerUpdate],
    ...prices.strategies.map((it) => [it.strategy, it.layers, it.bytesPerUpdate]),
    ["a layer for each path", paths.filter((path) => path.kind === "storePath").length, prices.lowerBound]];
  const most = Math.max(...rows.map((row) => row[2]), 1);
  for (const [plan, number, cost] of rows) {
    const bar = element("i", { class: "bar plain" });
    bar.style.width = `${((100 * cost) / most).toFixed(2)}%`;
    at("price-table").tBodies[0].append(element("tr", plan === "this image" ? { class: "own" } : {},
      element("th", { scope: "row" }, plan), element("td", { class: "number" }, count(number)),
      element("td", { class: "number" }, bytes(cost / prices.changes)), element("td", { class: "track" }, bar)));
  }
}

/** Shows what search and layer leave, everywhere. */
function filter() {
  const isFiltered = view.text !== "" || view.layer !== null;
  view.all = false;
  isShown = paths.map(({ layer }, index) => (view.layer === null || layer === view.layer) && texts[index].includes(view.text));
  drawVeil(at("map"), (index) => !isShown[index]);
  const left = paths.filter((_, index) => isShown[index]);
  const held = new Set(left.map(({ layer }) => layer));
  for (const button of at("layers").querySelectorAll("button")) {
    const layer = Number(button.dataset.layer);
    button.setAttribute("aria-pressed", String(layer === view.layer));
    button.classList.toggle("dim", view.layer === null ? isFiltered && !held.has(layer) : layer !== view.layer);
  }
  const of = view.layer === null ? "" : ` in layer ${view.layer}`;
  const size = left.reduce((sum, path) => sum + path.size, 0);
  at("status").textContent = isFiltered ? `${count(left.length)} of ${many(paths.length, "path")}${of}, ${bytes(size)}` : "";
  fillRows();
}

/** Shows a path, and the chain that brings it in; none shows what was kept. */
function activate(index) {
  const marked = (name) => at("map").querySelectorAll(`.${name}`).forEach((box) => box.classList.remove(name));
  marked("active");
  marked("chain");
  view.active = index ?? view.kept;
  const active = view.active;
  if (active === null) {
    at("map").removeAttribute("aria-activedescendant");
    at("detail").replaceChildren(element("p", { class: "note" }, "No path is chosen."));
    return;
  }
  const chain = isStorePath(active) ? chainOf(active) : [];
  chain.forEach((link) => boxes.get(link)?.classList.add("chain"));
  const box = boxes.get(active);
  if (box) {
    box.classList.add("active");
    at("map").setAttribute("aria-activedescendant", box.id);
  }
  at("detail").replaceChildren(...describe(active, chain));
}

function describe(index, chain) {
  const path = paths[index];
  const { comment } = layers[path.layer];
  const facts = [bytes(path.size), `layer ${path.layer}`, data.old && UPDATES[updateOf(index)],
    path.sentByChange !== undefined && `a change of it sends ${bytes(path.sentByChange)}`,
    path.kind === "storePath" && `refers to ${count(path.references.length)}, used by ${count(users[upper(index)].length)}`];
  const parts = [element("h3", {}, shown(path.name)), element("p", { class: "path" }, shown(path.path)),
    element("p", {}, facts.filter(Boolean).join(" · "))];
  if (chain.length > 1) {
    parts.push(element("p", { class: "note" }, "Brought in by"),
      element("ol", { class: "links" }, ...chain.map((link) => element("li", {}, shown(paths[link].name)))));
  } else if (path.kind === "storePath") {
    parts.push(element("p", { class: "note" }, before[upper(index)] === null ? "No store path refers to it." : "It is part of a cycle of references."));
  } else if (comment) {
    parts.push(element("p", { class: "note" }, "Brought in by layer ", String(path.layer), ":"), element("p", { class: "path" }, shown(comment)));
  }
  return parts;
}

/** Keeps a path after the pointer has gone, or lets it go. */
function keep(index) {
  view.kept = index;
  at("map").querySelectorAll("[aria-selected]").forEach((box) => box.removeAttribute("aria-selected"));
  if (index !== null) {
    boxes.get(index)?.setAttribute("aria-selected", "true");
  }
  made.forEach((row, path) => row.classList.toggle("kept", path === index));
  activate(index);
}

const pathAt = (event) => {
  const found = event.target.closest("[data-path]");
  return found ? Number(found.dataset.path) : null;
};

function listen() {
  const [map, table, search] = [at("map"), at("table"), at("search")];
  for (const place of [map, table]) {
    place.addEventListener("pointerover", (event) => {
      const index = pathAt(event);
      if (index !== null && index !== view.active) {
        activate(index);
      }
    });
    place.addEventListener("pointerleave", () => activate(null));
    place.addEventListener("click", (event) => {
      const index = pathAt(event);
      if (index !== null) {
        keep(index === view.kept ? null : index);
      }
    });
  }
  map.addEventListener("keydown", (event) => {
    const first = boxes.keys().next().value;
    const inOrder = [...areas.keys()].sort((a, b) => paths[b].size - paths[a].size || a - b);
    const from = view.active !== null && areas.has(view.active) ? view.active : null;
    if (event.key.startsWith("Arrow") && first !== undefined) {
      activate(from === null ? inOrder[0] : neighbour(from, event.key));
    } else if (event.key === "Home" || event.key === "End") {
      activate(inOrder.at(event.key === "Home" ? 0 : -1) ?? null);
    } else if ((event.key === "Enter" || event.key === " ") && from !== null) {
      keep(from);
    } else {
      return;
    }
    event.preventDefault();
  });
  map.addEventListener("focus", () => activate(view.active ?? [...areas.keys()].sort((a, b) => paths[b].size - paths[a].size || a - b)[0] ?? null));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search) {
      search.focus();
      event.preventDefault();
    } else if (event.key === "Escape") {
      [view.text, view.layer, search.value] = ["", null, ""];
      keep(null);
      filter();
    }
  });
  search.addEventListener("input", () => {
    view.text = search.value.trim().toLowerCase();
    filter();
  });
  at("controls").addEventListener("submit", (event) => event.preventDefault());
  at("colours").addEventListener("change", (event) => {
    root.dataset.colour = event.target.value;
    fillLegend();
  });
  at("layers").addEventListener("click", (event) => {
    const layer = Number(event.target.closest("button")?.dataset.layer ?? NaN);
    if (!Number.isNaN(layer)) {
      view.layer = layer === view.layer ? null : layer;
      filter();
    }
  });
  // Paper is not scrolled.
  window.addEventListener("beforeprint", () => {
    while (rest.length > 0) {
      fillSlice();
    }
  });
  at("more").addEventListener("click", () => {
    view.all = true;
    fillRows();
  });
}

function begin() {
  document.querySelectorAll("[data-needs]").forEach((label) => { label.hidden = !data[label.dataset.needs]; });
  at("colours").hidden = !data.old && !prices;
  at("colours").querySelector("[value=layer]").checked = true;
  at("list-title").textContent = data.references ? "All paths" : "All directories";
  fillHead();
  fillLayers();
  fillLegend();
  fillPrices();
  fillHeadings();
  makeMap(at("map"), (box, index) => colour(box, paths[index].layer, updateOf(index), (paths[index].sentByChange ?? 0) / mostSent));
  placeMap(at("map"));
  fillRows();
  activate(null);
  listen();
  let ratio = at("map").clientWidth / at("map").clientHeight;
  new ResizeObserver(() => {
    const now = at("map").clientWidth / at("map").clientHeight;
    if (Math.abs(now / ratio - 1) > 0.02) {
      ratio = now;
      placeMap(at("map"));
      drawVeil(at("map"), (index) => !isShown[index]);
    }
  }).observe(at("map"));
  root.dataset.drawn = "";
}

begin();
