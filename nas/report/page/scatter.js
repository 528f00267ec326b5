
// The front: every finished evaluation by two metrics, with its figures told on hover and focus.
const NEAR = 16; // pixels at which a point is meant
const MOST_BARS = 500; // error bars of dominated points; beyond, they would be one grey field
const view = { x: 0, y: 0, logX: false, logY: false, bound: null };

function scatter() {
  const objectives = doc.objectives.map(([column]) => column);
  [view.y, view.x] = [objectives[0], objectives[1] ?? doc.metrics.findIndex((_, i) => i !== objectives[0])];
  if (view.x < 0) view.x = view.y;
  view.logX = isWide(view.x);
  const canvas = make("canvas", { "aria-hidden": "true" });
  const svg = draw("svg", { "aria-hidden": "true" });
  const help = make("p", { class: "soft", id: "how" }, "Arrow keys go along the front, with Shift along all points; Enter selects a model, two are compared.");
  const told = make("div", { class: "told", "aria-live": "polite" }, "Point at a model, or use the arrow keys, to see its figures.");
  const place = make("div", {
    class: "chart", tabindex: "0", role: "application", "aria-label": `Scatter chart of ${finished.length} evaluations, ${doc.front.length} of them on the front`, "aria-describedby": "how",
  }, canvas, svg);
  let at = new Map(); // row -> its place in pixels
  let focused = null;

  function redraw() {
    const size = measure(place);
    if (!size.width) return;
    const [xs, ys] = [all.metrics[view.x], all.metrics[view.y]];
    const shown = finished.filter((row) => xs[row] !== null && ys[row] !== null && !(view.logX && xs[row] <= 0) && !(view.logY && ys[row] <= 0));
    const x = scale(shown.map((row) => xs[row]), size.left, size.right, view.logX);
    const y = scale(shown.map((row) => ys[row]), size.bottom, size.top, view.logY);
    at = new Map(shown.map((row) => [row, [x(xs[row]), y(ys[row])]]));
    frame(svg, size, x, y, [doc.metrics[view.x].heading, doc.metrics[view.y].heading]);
    points(canvas, size, at);
    bars(svg, at, x, y);
    if (view.bound && view.bound.metric === view.x && !(view.logX && view.bound.limit <= 0)) {
      const limit = Math.min(size.right, Math.max(size.left, x(view.bound.limit)));
      svg.append(draw("line", { class: "bound", x1: limit, x2: limit, y1: size.top, y2: size.bottom }));
    }
    if (objectives.length === 2 && objectives.includes(view.x) && objectives.includes(view.y) && view.x !== view.y) {
      const members = doc.front.filter((row) => at.has(row)).map((row) => at.get(row)).sort((a, b) => a[0] - b[0] || b[1] - a[1]);
      svg.append(draw("path", { class: "line", d: stepped(members) }));
    }
    for (const row of doc.front) if (at.has(row)) svg.append(draw("circle", { cx: at.get(row)[0], cy: at.get(row)[1], r: 4.5, fill: "var(--front)" }));
    names(svg, size, at);
    marks();
  }

  function names(into, size, places) {
    const taken = [];
    for (const [row, name] of doc.references) {
      if (!places.has(row)) continue;
      const [px, py] = places.get(row);
      into.append(draw("rect", { class: "reference", x: px - 7, y: py - 7, width: 14, height: 14 }));
      const toLeft = px > (size.left + size.right) / 2;
      let ty = py - 10;
      while (taken.some(([ox, oy]) => Math.abs(ox - px) < 120 && Math.abs(oy - ty) < 13) && ty < size.bottom) ty += 13;
      taken.push([px, ty]);
      into.append(draw("text", { class: "reference", x: px + (toLeft ? -10 : 10), y: ty, "text-anchor": toLeft ? "end" : "start" }, cut(name, 18)));
    }
  }

  function marks() {
    svg.querySelectorAll(".mark").forEach((mark) => mark.remove());
    selected.forEach((row, i) => {
      if (!at.has(row)) return;
      const [px, py] = at.get(row);
      const which = ["first", "second"][i];
      svg.append(draw("g", { class: "mark" },
        draw("circle", { class: `chosen ${which}`, cx: px, cy: py, r: 9 }),
        draw("text", { class: which, x: px, y: py + 23, "text-anchor": "middle" }, "AB"[i])));
    });
    if (focused !== null && at.has(focused))
      svg.append(draw("g", { class: "mark" }, draw("circle", { class: "focus", cx: at.get(focused)[0], cy: at.get(focused)[1], r: 7 })));
  }

  function focusOn(row) {
    focused = row;
    marks();
    if (row !== null) told.replaceChildren(...describe(row));
  }

  function nearest(event) {
    const box = place.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let [best, distance] = [null, NEAR ** 2];
    for (const [row, [x, y]] of at) {
      const square = (x - px) ** 2 + (y - py) ** 2;
      if (square < distance || (square === distance && isFront.has(row))) [best, distance] = [row, square];
    }
    return best;
  }

  function walk(by, everywhere) {
    const along = [...at.keys()].filter((row) => everywhere || isFront.has(row)).sort((a, b) => at.get(a)[0] - at.get(b)[0]);
    if (!along.length) return;
    const now = along.indexOf(focused);
    focusOn(along[now < 0 ? (by > 0 ? 0 : along.length - 1) : Math.min(along.length - 1, Math.max(0, now + by))]);
  }

  place.addEventListener("mousemove", (event) => {
    const row = nearest(event);
    if (row !== focused) focusOn(row);
    place.style.cursor = row === null ? "default" : "pointer";
  });
  place.addEventListener("click", (event) => {
    const row = nearest(event);
    if (row === null) return;
    focusOn(row);
    select(row);
  });
  place.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (by) walk(by, event.shiftKey);
    else if ((event.key === "Enter" || event.key === " ") && focused !== null) select(focused);
    else if (event.key === "Escape") focusOn(null);
    else return;
    event.preventDefault();
  });
  onSelection(marks);
  whenever(place, redraw);
  view.redraw = redraw;

  const axis = (which, label) => make("label", {}, label, make("select", { onchange(event) { view[which] = Number(event.target.value); redraw(); } },
    ...doc.metrics.map((metric, i) => make("option", { value: i, selected: view[which] === i }, metric.heading))));
  const log = (which, label) => make("label", {}, make("input", { type: "checkbox", checked: view[which], onchange(event) { view[which] = event.target.checked; redraw(); } }), label);
  return section("The front",
    make("div", { class: "controls" }, axis("y", "Up"), log("logY", "logarithmic"), axis("x", "Right"), log("logX", "logarithmic")),
    place,
    make("div", { class: "legend" }, ...[["front", "front"], ["dominated", "evaluated"], ["infeasible", "breaks a constraint"], ["reference", "reference"]].map(([name, text]) => make("span", { class: name }, text))),
    told, help, ...doc.noise.map((line) => make("p", { class: "soft" }, ...withCommands(line))));
}

/** Whether the values of a metric differ so much that most would lie on each other. */
function isWide(column) {
  let [least, most] = [Infinity, -Infinity];
  for (const row of finished) {
    const value = all.metrics[column][row];
    if (value === null) continue;
    [least, most] = [Math.min(least, value), Math.max(most, value)];
  }
  return least > 0 && most / least > 10;
}

/** All points but those of the front, on a canvas: thousands of elements would take seconds. */
function points(canvas, size, at) {
  const dense = devicePixelRatio || 1;
  [canvas.width, canvas.height] = [size.width * dense, size.height * dense];
  const context = canvas.getContext("2d");
  context.scale(dense, dense);
  const radius = at.size > 2000 ? 2 : 3.5;
  context.strokeStyle = colour("--infeasible");
  context.fillStyle = colour("--dominated");
  for (const [row, [x, y]] of at) {
    if (isFront.has(row)) continue;
    context.beginPath();
    if (all.fits[row]) {
      context.arc(x, y, radius, 0, 7);
      context.fill();
    } else {
      context.moveTo(x - radius, y);
      context.lineTo(x + radius, y);
      context.stroke();
    }
  }
}

/** One standard error to either side, where the metric of an axis is noisy. */
function bars(svg, at, x, y) {
  const few = at.size <= MOST_BARS;
  for (const row of at.keys()) {
    if (!few && !isFront.has(row)) continue;
    const kind = isFront.has(row) ? "error" : "error other";
    const [px, py] = at.get(row);
    for (const [column, to, along] of [[view.x, x, "x"], [view.y, y, "y"]]) {
      const [value, error] = [all.metrics[column][row], errorOf(column, row)];
      if (!error || (to.logarithmic && value - error <= 0)) continue;
      const [one, other] = [to(value - error), to(value + error)];
      svg.append(draw("line", along === "x" ? { class: kind, x1: one, x2: other, y1: py, y2: py } : { class: kind, x1: px, x2: px, y1: one, y2: other }));
    }
  }
}

/** What is told of a model that is pointed at. */
function describe(row) {
  const figures = doc.metrics.map((metric, i) => [metric, i]).filter(([, i]) => all.metrics[i][row] !== null);
  const doubt = doc.doubts[doc.front.indexOf(row)];
  const place = isFront.has(row) ? (doubt > 0.2 ? "on the front (may be off)" : "on the front") : all.fits[row] ? "dominated" : "breaks a constraint";
  const lines = [make("div", {}, make("strong", {}, called(row)), ` ${place}`),
    make("div", {}, figures.map(([metric, i]) => `${metric.heading} ${withError(i, row)}`).join(", "))];
  if (doc.reference !== null && doc.reference !== row) {
    const text = differences(row, doc.reference).map(([name, value, before]) => `${name} ${value ?? "none"} (${before ?? "none"})`).join(", ");
    lines.push(make("div", { class: "soft" }, `beside ${nameOf.get(doc.reference)}: ${text || "the same choices"}`));
  }
  return lines;
}
