// Reads the page's data, finds chains of references in it, and says it for people. Touches no element but the data's.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const { layers, paths, prices } = data;

/** A number of bytes with three digits and a decimal unit, as docker shows it: `1.63 GB`. */
function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [count, 0];
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)}\u00a0${units[unit]}`;
}

/** A whole number with its thousands apart. */
function count(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** So many of something. */
function many(number, one, more = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : more}`;
}

/** A text of the image, without characters that cannot be seen or that turn others round. */
function shown(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (it) => `\\u{${it.codePointAt(0).toString(16)}}`);
}

/** The order of names, the same in every language. */
function byText(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What `paths[index]` is in a word. */
function isStorePath(index) {
  return paths[index].kind === "storePath";
}

/** The uppermost entry of the same path. */
function upper(index) {
  return paths[index].copyOf ?? index;
}

/** For each path those that refer to it. */
const users = paths.map(() => []);
paths.forEach((path, index) => {
  if (path.copyOf === undefined) {
    path.references.forEach((used) => users[used].push(index));
  }
});

/** For each store path the one before it in the shortest chain of references that leads to it; of several chains the first
 *  by name, as `layerstone closure --why` has it. `undefined` where no chain leads. */
const before = chains();

function chains() {
  const order = (a, b) => byText(paths[a].name, paths[b].name) || byText(paths[a].path, paths[b].path);
  const indexes = [...paths.keys()].filter((index) => isStorePath(index) && paths[index].copyOf === undefined);
  const queue = indexes.filter((index) => users[index].length === 0).sort(order);
  const found = new Array(paths.length);
  queue.forEach((root) => { found[root] = null; });
  for (let at = 0; at < queue.length; at += 1) {
    for (const used of [...paths[queue[at]].references].sort(order)) {
      if (found[used] === undefined) {
        found[used] = queue[at];
        queue.push(used);
      }
    }
  }
  return found;
}

/** The chain that brings a path in, from a path that nothing refers to. */
function chainOf(index) {
  const chain = [];
  for (let at = upper(index); at !== null && at !== undefined; at = before[at]) {
    chain.unshift(at);
  }
  return chain;
}

/** What an update does with a path: `there`, `again` (the old image has the path, but not its layer), or `new`. */
function updateOf(index) {
  const path = paths[index];
  if (layers[path.layer].state === "there") {
    return "there";
  }
  return path.inOld ? "again" : "new";
}

const UPDATES = { there: "there already", again: "sent again", new: "sent" };

/** What a layer holds, in a few words: its largest paths, or what the history says. */
function holds(layer) {
  const { comment, paths: own } = layers[layer];
  const stored = own.filter(isStorePath).sort((a, b) => paths[b].size - paths[a].size || byText(paths[a].path, paths[b].path));
  if (stored.length === 0) {
    return shown(comment ?? "") || "no description";
  }
  const names = stored.slice(0, 2).map((index) => shown(paths[index].name)).join(", ");
  return stored.length > 2 ? `${names} and ${count(stored.length - 2)} more` : names;
}

/** An element with attributes and children. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) {
      made.setAttribute(name, value);
    }
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}
