
// What all sections use: the document, elements, figures as text, and which models are selected.
const doc = JSON.parse(document.getElementById("document").textContent);
const all = doc.evaluations;
const SVG = "http://www.w3.org/2000/svg";

/** An element; text is only ever put in as text. Attributes that begin with "on" are listeners. */
function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A line whose commands are in backticks, with these as code. */
function withCommands(text) {
  return text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part));
}

function section(title, ...children) {
  const name = title.toLowerCase().replace(/[^a-z]+/g, "-");
  return make("section", { "aria-labelledby": name }, make("h2", { id: name }, title), ...children);
}

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** A figure as the commands print it (`number` in nas/formatting.py). */
function figure(metric, value) {
  if (value === null || value === undefined) return "-";
  if (metric.form === "signed") return (value < 0 ? "" : "+") + value.toFixed(0);
  if (metric.form === "time") return value.toFixed(2);
  return Math.abs(value) >= 1000 ? grouped.format(value) : value.toFixed(3);
}

/** A standard error: one figure, for more are not known of it. */
function rounded(error) {
  return error >= 1 ? grouped.format(error) : error.toFixed(Math.ceil(-Math.log10(error)));
}

/** The standard error of a metric of an evaluation; 0 where it has none. */
function errorOf(column, row) {
  const { deviation } = doc.metrics[column];
  return deviation && all.trainings[row] ? deviation / Math.sqrt(all.trainings[row]) : 0;
}

function withError(column, row) {
  const text = figure(doc.metrics[column], all.metrics[column][row]);
  const error = errorOf(column, row);
  return error ? `${text} ± ${rounded(error)}` : text;
}

const nameOf = new Map(doc.references);
const isFront = new Set(doc.front);
const finished = all.state.map((state, row) => row).filter((row) => all.state[row] === "finished" && all.of[row] === row);

function called(row) {
  return nameOf.has(row) ? `${all.trial[row]} ${nameOf.get(row)}` : all.trial[row];
}

/** The value of a choice as text; null where the architecture has none. */
function chosenValue(choice, row) {
  const code = all.choices[choice][row];
  return code < 0 ? null : doc.choices[choice][1][code];
}

/** [name, value, value of the other] of the choices in which two architectures differ. */
function differences(row, other) {
  return doc.choices
    .map(([name], i) => [name, chosenValue(i, row), chosenValue(i, other)])
    .filter(([, value, before]) => value !== before);
}

// -- which models are selected: at most two, the one selected first goes first ----------------------------------------
const selected = [];
const listeners = [];

/** Select a model, or no longer; repeats count as what they repeat. */
function select(row) {
  const model = all.of[row];
  const at = selected.indexOf(model);
  if (at >= 0) selected.splice(at, 1);
  else selected.push(model);
  if (selected.length > 2) selected.shift();
  listeners.forEach((listener) => listener());
}

function onSelection(listener) {
  listeners.push(listener);
}
