
// Axes: scales, ticks and a frame in an SVG that is as large as its place on the page.
function scale(values, low, high, logarithmic) {
  let [from, to] = [Infinity, -Infinity];
  for (const value of values) {
    if (logarithmic && value <= 0) continue;
    if (value < from) from = value;
    if (value > to) to = value;
  }
  if (from > to) [from, to] = [logarithmic ? 0.1 : 0, 1];
  const forth = logarithmic ? Math.log10 : (value) => value;
  let [a, b] = [forth(from), forth(to)];
  const room = (b - a) * 0.05 || Math.abs(a) * 0.1 || 0.5;
  [a, b] = [a - room, b + room];
  const place = (value) => low + ((forth(value) - a) / (b - a)) * (high - low);
  const count = Math.max(2, Math.abs(high - low) / (high > low ? 90 : 55));
  return Object.assign(place, { ticks: logarithmic ? logTicks(a, b, count) : ticks(a, b, count), logarithmic });
}

function ticks(a, b, count) {
  const rough = (b - a) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
  const first = Math.ceil(a / step);
  return Array.from({ length: Math.floor(b / step) - first + 1 }, (_, i) => (first + i) * step);
}

function logTicks(a, b, count) {
  if (b - a < 0.7) return ticks(10 ** a, 10 ** b, count).filter((tick) => tick > 0);
  const every = Math.ceil((b - a) / count);
  const parts = b - a < 2.5 ? [1, 2, 5] : [1];
  const found = [];
  for (let power = Math.floor(a); power <= b; power += every)
    for (const part of parts) {
      const tick = Number(`${part}e${power}`);
      if (Math.log10(tick) >= a && Math.log10(tick) <= b) found.push(tick);
    }
  return found;
}

/** A figure beside an axis: 1.2M, 30k, 0.45. */
function brief(value) {
  const size = Math.abs(value);
  for (const [unit, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (size >= unit * 0.9999) return `${Number((value / unit).toPrecision(3))}${letter}`;
  if (size && size < 1e-4) return value.toExponential(0);
  return String(Number(value.toPrecision(3)));
}

/** The frame of a chart: draws grid, ticks and titles into an emptied SVG. */
function frame(svg, size, x, y, titles) {
  const { left, right, top, bottom } = size;
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  for (const tick of x.ticks) {
    const at = x(tick);
    svg.append(draw("line", { class: "grid", x1: at, x2: at, y1: top, y2: bottom }));
    svg.append(draw("text", { x: at, y: bottom + 16, "text-anchor": "middle" }, brief(tick)));
  }
  for (const tick of y.ticks) {
    const at = y(tick);
    svg.append(draw("line", { class: "grid", x1: left, x2: right, y1: at, y2: at }));
    svg.append(draw("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, brief(tick)));
  }
  const middle = (left + right) / 2;
  svg.append(draw("text", { class: "title", x: middle, y: size.height - 4, "text-anchor": "middle" }, cut(titles[0], size.width / 8)));
  svg.append(draw("text", { class: "title", x: 4, y: 13 }, cut(titles[1], size.width / 8)));
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** What is inside of the frame of a chart, in CSS pixels. */
function measure(place) {
  const { width, height } = place.getBoundingClientRect();
  return { width, height, left: 50, right: width - 14, top: 24, bottom: height - 42 };
}

/** A line in steps: between two points there is nothing better than the first. */
function stepped(points) {
  return points.map(([x, y], i) => (i ? `H${x.toFixed(1)}V${y.toFixed(1)}` : `M${x.toFixed(1)},${y.toFixed(1)}`)).join("");
}

/** Call `redraw` now and whenever the place, or the colours, change. */
function whenever(place, redraw) {
  new ResizeObserver(redraw).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
