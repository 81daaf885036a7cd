"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const query = document.getElementById("query");
  const kind = document.getElementById("kind");
  const network = document.getElementById("network");

  const make = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
  const draw = (name, attributes = {}, ...children) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  function fill(node, attributes, children) {
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  /* Sorting: numbers by their value, what has none at the end; details stay with their layer. */
  const value = (row, column) => {
    const cell = row.cells[column];
    const number = parseFloat(cell.dataset.v ?? cell.textContent);
    return heads[column].classList.contains("n") ? number : cell.textContent;
  };
  function sort(column) {
    const rising = heads[column].getAttribute("aria-sort") !== "ascending";
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", rising ? "ascending" : "descending");
    const keys = new Map(rows.map((row) => [row, value(row, column)]));
    const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
    const missing = (key) => Number.isNaN(key);
    rows.sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      if (missing(x) || missing(y)) return missing(x) - missing(y);
      return rising ? compare(x, y) : compare(y, x);
    });
    body.append(...rows.flatMap((row) => (row.detail ? [row, row.detail] : [row])));
  }
  heads.forEach((head, column) => {
    const button = make("button", { type: "button" }, head.textContent);
    button.addEventListener("click", () => sort(column));
    head.replaceChildren(button);
  });

  /* Filtering. */
  function filter() {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const name = row.cells[0].textContent.toLowerCase();
      const fits = words.every((word) => name.includes(word))
        && (!kind.value || row.dataset.k.split(" ").includes(kind.value))
        && (!network || !network.value || row.dataset.n === network.value);
      row.hidden = !fits;
      if (row.detail) row.detail.hidden = !fits || !row.open;
      shown += fits;
    }
    document.getElementById("count").value = `${shown} of ${rows.length} layers`;
  }
  for (const control of [query, kind, network]) control?.addEventListener("input", filter);
  const form = document.getElementById("filter");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();

  /* A layer's spectrum, drawn when it is first asked for. */
  const facts = (record, row) => {
    const list = make("dl", { class: "facts" });
    data.columns.forEach((name, place) => {
      const number = record.rows[row.dataset.l][place];
      if (number === null) return;
      list.append(make("div", { title: data.about[name] ?? "" }, make("dt", {}, name), make("dd", {}, String(number))));
    });
    return list;
  };
  const limits = (...lists) => {
    const all = lists.flat();
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const margin = Math.max(high - low, 0.1) * 0.06;
    return [low - margin, high + margin];
  };
  const power = (exponent) => {
    const digits = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
    return "10" + [...String(exponent)].map((digit) => digits[digit]).join("");
  };
  function* decades(low, high, most) {
    const step = Math.max(1, Math.ceil((high - low) / most));
    for (let exponent = Math.ceil(low); exponent <= high; exponent++) if (exponent % step === 0) yield exponent;
  }
  function spectrum(shape, name) {
    const height = 280;
    const [left, right] = limits(shape.x, shape.fit?.[0] ?? [], shape.edge ?? []);
    const [bottom, top] = limits(shape.y);
    const across = (x) => (100 * (x - left)) / (right - left);
    const down = (y) => (height * (top - Math.max(y, bottom))) / (top - bottom);
    const picture = draw("svg", { height, role: "img", "aria-label": `Spectrum of ${name}: density of the eigenvalues on logarithmic axes` });
    const line = (css, x1, y1, x2, y2) =>
      picture.append(draw("line", { class: css, x1: `${across(x1)}%`, x2: `${across(x2)}%`, y1, y2 }));
    for (const x of decades(left, right, 6)) {
      line("grid", x, 0, x, height);
      picture.append(draw("text", { class: "tick", x: `${across(x)}%`, y: height + 16 }, power(x)));
    }
    for (const y of decades(bottom, top, 6)) {
      line("grid", left, down(y), right, down(y));
      picture.append(draw("text", { class: "tick left", x: -6, y: down(y) + 4 }, power(y)));
    }
    line("axis", left, height, right, height);
    line("axis", left, 0, left, height);
    if (shape.noise?.[0].length) {
      const [x, y] = shape.noise;
      const corners = x.map((value, place) => `${across(value)} ${down(y[place])}`);
      const path = `M${across(x[0])} ${height}L${corners.join("L")}L${across(x.at(-1))} ${height}Z`;
      const frame = { viewBox: `0 0 100 ${height}`, preserveAspectRatio: "none", width: "100%", height };
      picture.append(draw("svg", frame, draw("path", { class: "noise", d: path })));
      line("edge", shape.edge, 0, shape.edge, height);
    }
    shape.x.forEach((x, place) => picture.append(draw("circle", { r: 4, cx: `${across(x)}%`, cy: down(shape.y[place]) })));
    if (shape.fit) {
      const [x, y] = shape.fit;
      line("xmin", x[0], 0, x[0], height);
      for (let i = 1; i < x.length && y[i - 1] >= bottom; i++) {
        const cut = y[i] >= bottom ? 1 : (y[i - 1] - bottom) / (y[i - 1] - y[i]);
        line("fit", x[i - 1], down(y[i - 1]), x[i - 1] + cut * (x[i] - x[i - 1]), down(y[i - 1] + cut * (y[i] - y[i - 1])));
      }
    }
    return picture;
  }
  function legend(shape) {
    const entries = [["dot", "eigenvalues"]];
    if (shape.fit) entries.push(["line", "power law"], ["dash", "xmin"]);
    if (shape.noise) entries.push(["area", "noise of the same variance"], ["dots", "its edge"]);
    return make("p", { class: "legend" }, ...entries.map(([css, text]) => make("span", { class: css }, text)));
  }
  function detail(row) {
    const record = data.networks[row.dataset.n];
    const shape = record.spectra[row.dataset.l];
    const name = row.cells[0].textContent;
    const caption = make("figcaption", {}, "Spectrum ", make("span", { class: "muted" }, "density of the eigenvalues of W′W"));
    const figure = shape
      ? make("figure", {}, caption, spectrum(shape, name), legend(shape))
      : make("p", {}, /non-finite|zero/.test(row.dataset.k) ? "This layer is broken: it has no spectrum to draw." : "Its spectrum was not kept.");
    figure.querySelector?.("svg")?.classList.add("histogram");
    const cell = make("td", { colspan: heads.length }, make("div", {}, figure, facts(record, row)));
    return make("tr", { class: "detail", id: `detail-${row.dataset.n}-${row.dataset.l}` }, cell);
  }
  const button = (row) => row.cells[0].firstElementChild;
  function toggle(row, open = !row.open) {
    row.open = open;
    if (open && !row.detail) row.after((row.detail = detail(row)));
    if (row.detail) row.detail.hidden = !open;
    fill(button(row), { "aria-expanded": open, "aria-controls": row.detail.id }, []);
  }
  body.addEventListener("click", (event) => {
    const pressed = event.target.closest("th > button");
    if (pressed) toggle(pressed.closest("tr"));
  });

  /* A point of the flow leads to its layer. */
  const places = new Map(rows.map((row) => [`${row.dataset.n} ${row.dataset.l}`, row]));
  for (const chart of document.querySelectorAll(".flow")) {
    chart.addEventListener("click", (event) => {
      const point = event.target.closest("[data-layer]");
      if (!point) return;
      const row = places.get(`${chart.dataset.network} ${point.dataset.layer}`);
      if (row.hidden) { form.reset(); filter(); }
      toggle(row, true);
      button(row).focus({ preventScroll: true });
      row.scrollIntoView({ block: "center" });
    });
  }
})();
