
// All evaluations, in whatever state: sorted by a column, filtered by text, a page at a time.
const ROWS = 50; // of a page

function evaluations() {
  const columns = [
    { heading: "model", value: (row) => called(row) },
    { heading: "state", value: (row) => all.state[row] },
    ...doc.metrics.map((metric, i) => ({ heading: metric.heading, number: true, value: (row) => all.metrics[i][row], text: (row) => withError(i, row) })),
    { heading: "trainings", number: true, value: (row) => all.trainings[row] },
    { heading: "seconds", number: true, value: (row) => all.seconds[row], text: (row) => (all.seconds[row] === null ? "-" : all.seconds[row].toFixed(0)) },
    { heading: "fidelity", number: true, value: (row) => all.fidelity[row] },
    { heading: "node", value: (row) => all.node[row] },
    { heading: "reason", value: (row) => all.reason[row] },
  ].filter((column, i) => i < 2 || all.trial.some((_, row) => column.value(row) !== null));
  const order = all.trial.map((_, row) => row);
  let [sorted, down, words, page, shown, texts] = [null, false, "", 0, order, null];

  /** Everything that the filter looks at, found once and only when it is used. */
  function textOf(row) {
    texts ??= order.map((each) => [...columns.filter((c) => !c.number).map((c) => c.value(each) ?? ""), isFront.has(each) ? "front" : "",
      ...doc.choices.map(([name], i) => `${name}=${chosenValue(i, each)}`)].join(" ").toLowerCase());
    return texts[row];
  }

  function arrange() {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    shown = wanted.length ? order.filter((row) => wanted.every((word) => textOf(row).includes(word))) : [...order];
    if (sorted !== null) {
      const { value } = columns[sorted];
      const sign = down ? -1 : 1;
      shown.sort((a, b) => {
        const [one, other] = [value(a), value(b)];
        if (one === null || other === null) return (one === null) - (other === null); // what is not known comes last
        return sign * (one < other ? -1 : one > other ? 1 : 0) || a - b;
      });
    }
    page = 0;
    redraw();
  }

  const count = make("span", { role: "status" });
  const body = make("tbody");
  const heads = columns.map((column, i) => make("th", { class: column.number ? "number" : null, scope: "col" },
    make("button", { title: `sort by ${column.heading}`, onclick() {
      [sorted, down] = [i, sorted === i ? !down : false];
      heads.forEach((head, j) => (j === i ? head.setAttribute("aria-sort", down ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
      arrange();
    } }, column.heading)));
  const turn = (by, text) => make("button", { onclick() { page += by; redraw(); } }, text);
  const [back, on] = [turn(-1, "previous"), turn(1, "next")];

  function cell(column, i, row) {
    if (!i) return make("td", {}, make("button", { "aria-pressed": String(selected.includes(all.of[row])), onclick: () => select(row) }, called(row)));
    if (column.number) return make("td", { class: "number" }, column.text ? column.text(row) : String(column.value(row) ?? "-"));
    return make("td", { class: column.heading === "reason" ? "reason" : null }, make("div", { class: "long" }, column.value(row) ?? ""));
  }

  function redraw() {
    const from = page * ROWS;
    body.replaceChildren(...shown.slice(from, from + ROWS).map((row) =>
      make("tr", { class: selected.includes(all.of[row]) ? "chosen" : null }, ...columns.map((column, i) => cell(column, i, row)))));
    count.textContent = shown.length ? `${from + 1} to ${Math.min(shown.length, from + ROWS)} of ${shown.length}` : "none";
    back.disabled = !page;
    on.disabled = from + ROWS >= shown.length;
  }

  onSelection(redraw);
  arrange();
  const filter = make("input", { type: "search", placeholder: "failed, front, choice=value …", oninput(event) { words = event.target.value; arrange(); } });
  return section("All evaluations",
    ...(doc.failures.length ? [make("h3", {}, "What went wrong"), make("ul", {}, ...doc.failures.map(([text, times]) => make("li", {}, `${times} × ${text}`)))] : []),
    make("div", { class: "controls" }, make("label", {}, "Filter", filter), back, on, count),
    make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "evaluations" }, make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body)));
}
