// Fills the table of all paths: its columns, their order, and as many rows as can be seen.

/** Rows that the table has at first: more take time and nobody reads them. */
const ROWS = 100;
/** Rows that a frame of the screen has time to lay out. */
const SLICE = 25;

const columns = [
  { key: "name", title: "Name", of: (index) => paths[index].name, cell: (index) => nameCell(index) },
  { key: "layer", title: "Layer", number: true, of: (index) => paths[index].layer },
  { key: "size", title: "Size", number: true, of: (index) => paths[index].size, text: bytes },
  { key: "update", title: "Update", needs: "old", of: (index) => updateOf(index), text: (value) => UPDATES[value] },
  { key: "sent", title: "A change sends", needs: "prices", number: true, of: (index) => paths[index].sentByChange ?? -1,
    text: (value) => (value < 0 ? "" : bytes(value)) },
  { key: "uses", title: "Refers to", needs: "references", number: true, of: (index) => paths[index].references.length, text: count },
  { key: "users", title: "Used by", needs: "references", number: true, of: (index) => users[upper(index)].length, text: count },
].filter(({ needs }) => !needs || data[needs]);

function nameCell(index) {
  const button = element("button", { type: "button", title: shown(paths[index].path) }, shown(paths[index].name));
  return element("th", { scope: "row" }, button);
}

function fillHeadings() {
  const head = at("table").tHead.rows[0];
  for (const { key, title, number } of columns) {
    const button = element("button", { type: "button" }, title);
    button.addEventListener("click", () => {
      const again = view.sort === key;
      [view.sort, view.falling] = [key, again ? !view.falling : number === true];
      fillRows();
    });
    head.append(element("th", { scope: "col", class: number ? "number" : undefined, "data-key": key }, button));
  }
}

/** The place of each path in their order. */
const ranks = [];
[...paths.keys()].sort((a, b) => byText(paths[a].path, paths[b].path)).forEach((index, rank) => { ranks[index] = rank; });
/** What the search looks at. */
const texts = paths.map(({ name, path }) => `${name}\n${path}`.toLowerCase());
/** Whether each path is left by search and layer. */
let isShown = paths.map(() => true);
/** The rows of the table that were made. */
const made = new Map();

function rowOf(index) {
  const row = made.get(index) ?? element("tr", { "data-path": index });
  if (!made.has(index)) {
    row.append(...columns.map(({ key, of, text = String, number, cell }) => (cell ? cell(index)
      : element("td", { class: number ? "number" : undefined, "data-key": key }, text(of(index))))));
    made.set(index, row);
  }
  return row;
}

function fillRows() {
  const { of } = columns.find(({ key }) => key === view.sort);
  const value = paths.map((_, index) => of(index));
  const order = (a, b) => (typeof value[a] === "number" ? value[a] - value[b] : byText(value[a], value[b]));
  const wanted = [...paths.keys()].filter((index) => isShown[index]);
  wanted.sort((a, b) => (view.falling ? order(b, a) : order(a, b)) || ranks[a] - ranks[b]);
  const rows = view.all ? wanted : wanted.slice(0, ROWS);
  fillBodies(rows);
  for (const heading of at("table").tHead.rows[0].cells) {
    const isSorted = heading.dataset.key === view.sort;
    heading.setAttribute("aria-sort", isSorted ? (view.falling ? "descending" : "ascending") : "none");
  }
  at("more").hidden = rows.length === wanted.length;
  at("more").textContent = `Show all ${count(wanted.length)}`;
}

/** The rows that have no place in the table yet. */
let rest = [];

/** Puts rows into the table in place of all others: the first at once, the others when its end comes into sight. */
function fillBodies(rows) {
  [...at("table").tBodies].forEach((body) => body.remove());
  at("table").setAttribute("aria-rowcount", String(rows.length + 1));
  rest = [...rows];
  fillSlice();
  end.disconnect();
  end.observe(at("more").parentElement);
}

/** A body of its own for each slice: those that stand are not laid out again. */
function fillSlice() {
  at("table").append(element("tbody", {}, ...rest.splice(0, SLICE).map(rowOf)));
}

/** Sees the end of the table come near. It tells of changes alone, and so is asked anew after each slice. */
const end = new IntersectionObserver(([{ target, isIntersecting }]) => {
  if (isIntersecting && rest.length > 0) {
    fillSlice();
    end.unobserve(target);
    end.observe(target);
  }
}, { rootMargin: "600px" });
