
// The selected models, side by side: their figures, their choices, and their layers with what each costs.
function model() {
  const body = make("div", { class: "models", "aria-live": "polite" });

  function redraw() {
    if (!selected.length) {
      body.replaceChildren(make("p", { class: "soft" }, "Select a model in the picture, under the bound or in the table; two are compared."));
      return;
    }
    body.replaceChildren(...selected.map((row, i) => {
      const other = selected.length > 1 ? selected[1 - i] : doc.reference !== row ? doc.reference : null;
      return make("div", {},
        make("h3", {}, make("span", { class: `tag ${["first", "second"][i]}` }, "AB"[i]), called(row), " ",
          make("button", { onclick: () => select(row), "aria-label": `no longer select ${all.trial[row]}` }, "remove")),
        all.reason[row] ? make("p", {}, `${all.state[row]}: ${all.reason[row]}`) : null,
        figures(row, other), choices(row, other), layers(row));
    }));
  }

  onSelection(redraw);
  redraw();
  return section("The selected model", body);
}

function table(headings, rows, label) {
  return make("div", { class: "wide" }, make("table", { "aria-label": label },
    make("thead", {}, make("tr", {}, ...headings.map(([text, kind]) => make("th", { class: kind, scope: "col" }, text)))),
    make("tbody", {}, ...rows)));
}

function figures(row) {
  const known = doc.metrics.map((_, i) => i).filter((i) => all.metrics[i][row] !== null);
  return table([["metric"], ["", "number"]], known.map((i) =>
    make("tr", {}, make("td", {}, doc.metrics[i].heading), make("td", { class: "number" }, withError(i, row)))), `metrics of ${all.trial[row]}`);
}

function choices(row, other) {
  const rows = doc.choices.map(([name], i) => {
    const [value, before] = [chosenValue(i, row), other === null ? undefined : chosenValue(i, other)];
    if (value === null && (before === null || before === undefined)) return null;
    const differs = before !== undefined && before !== value;
    return make("tr", {}, make("td", { class: "text" }, name), make("td", { class: differs ? "text differs" : "text" }, value ?? "none"),
      other === null ? null : make("td", { class: "text" }, differs ? `(${before ?? "none"})` : ""));
  }).filter(Boolean);
  const beside = other === null ? [] : [[selected.length > 1 ? `(${all.trial[other]})` : `(${nameOf.get(other)})`]];
  return make("details", { open: true }, make("summary", {}, "choices"), table([["choice"], ["value"], ...beside], rows, `choices of ${all.trial[row]}`));
}

/** Layers in the order they run, with a total for every stage: what comes before the dot of a layer's name. */
function layers(row) {
  if (!doc.layers) return make("p", { class: "soft" }, "This space says nothing of layers.");
  const parts = doc.layers.of[row].map((place) => doc.layers.table[place]);
  const sum = (some, column) => some.reduce((total, part) => total + part[column], 0);
  const total = sum(parts, 4) || 1;
  const stageOf = (part) => part[0].split(".")[0];
  const cells = (name, module, shape, params, macs) => [
    make("td", {}, name), make("td", {}, module), make("td", { class: "number" }, shape),
    make("td", { class: "number" }, grouped.format(params)), make("td", { class: "number" }, (macs / 1e6).toFixed(1)), share(macs / total)];
  const rows = [];
  parts.forEach((part, i) => {
    if (!i || stageOf(parts[i - 1]) !== stageOf(part)) {
      const end = parts.findIndex((each, j) => j > i && stageOf(each) !== stageOf(part));
      const stage = parts.slice(i, end < 0 ? parts.length : end);
      if (stage.length > 1) rows.push(make("tr", { class: "total" }, ...cells(stageOf(part), "", "", sum(stage, 3), sum(stage, 4))));
    }
    rows.push(make("tr", {}, ...cells(...part)));
  });
  rows.push(make("tr", { class: "total" }, ...cells("all", "", "", sum(parts, 3), sum(parts, 4))));
  return make("details", { open: true }, make("summary", {}, "layers"),
    table([["layer"], ["module"], ["output", "number"], ["parameters", "number"], ["MMACs", "number"], ["share"]], rows, `layers of ${all.trial[row]}`));
}

function share(part) {
  const bar = make("span", { class: "bar" });
  bar.style.width = `${(5 * part).toFixed(2)}rem`;
  return make("td", { "aria-label": `${(100 * part).toFixed(1)}%` }, bar);
}
