
// Which model to pick under a bound: what `evoyolo pick` chooses, found in the staircase that it was asked for.
const POSITIONS = 400; // of the slider

/** A bound as it is written: three figures, rounded up so that what has just this much is within. */
function asBound(value) {
  if (value <= 0) return value;
  const unit = 10 ** (Math.floor(Math.log10(value)) - 2);
  return Number((Math.ceil(value / unit - 1e-9) * unit).toPrecision(3));
}

function pickUnder({ steps }, limit) {
  let found = null;
  for (const step of steps) if (step.limit <= limit) found = step;
  return found;
}

function bound() {
  const bounds = doc.bounds.filter(({ steps }) => steps.length);
  if (!bounds.length) return null;
  let now = bounds[0];
  const slider = make("input", { type: "range", min: 0, max: POSITIONS, value: POSITIONS, "aria-label": "the bound" });
  const typed = make("input", { type: "number", step: "any", "aria-label": "the bound as a number" });
  const answer = make("div", { class: "told", id: "pick" });

  function ends() {
    const [least, most] = [now.steps[0].limit, now.steps[now.steps.length - 1].limit];
    return least > 0 ? [Math.log(least), Math.log(most * 1.05)] : [least, most + (most - least) * 0.05];
  }

  function at(position) {
    const [a, b] = ends();
    const value = a + ((b - a) * position) / POSITIONS;
    return asBound(now.steps[0].limit > 0 ? Math.exp(value) : value);
  }

  function show(limit) {
    const metric = doc.metrics[now.metric];
    const step = pickUnder(now, limit);
    slider.setAttribute("aria-valuetext", `${metric.heading} at most ${limit}`);
    view.bound = { metric: now.metric, limit };
    view.redraw?.();
    if (!step) {
      const [first] = now.steps;
      answer.replaceChildren(make("p", {}, `No model surely has ${metric.heading} at most ${limit}; the nearest is ${called(first.row)} with ${first.figure}.`));
      return;
    }
    const [first] = doc.objectives[0];
    const has = `${doc.metrics[first].heading} ${withError(first, step.row)}`;
    document.getElementById("sentence").textContent = `With at most ${figure(metric, limit)} ${metric.heading} the best model is ${all.trial[step.row]}: ${has}, ${step.figure}.`;
    const files = new Map(doc.files).get(step.row);
    answer.replaceChildren(
      make("p", {}, make("strong", {}, called(step.row)), ` ${has}; ${step.figure}. `, make("button", { onclick: () => selected.includes(step.row) || select(step.row) }, "select")),
      ...step.given_up.map((text) => make("p", {}, `Given up: ${text}.`)),
      ...step.alike.map((text) => make("p", {}, `${text}.`)),
      make("p", {}, files ? "Its files: " : "Its files are made by the command.", ...(files ?? []).flatMap((path, i) => [i ? ", " : "", make("code", {}, path)])),
      make("p", {}, make("code", {}, `${now.command} ${limit}`)));
  }

  function begin() {
    slider.value = Math.round(POSITIONS / 2);
    typed.value = at(slider.valueAsNumber);
    show(Number(typed.value));
  }

  slider.addEventListener("input", () => {
    typed.value = at(slider.valueAsNumber);
    show(Number(typed.value));
  });
  typed.addEventListener("input", () => {
    if (typed.value === "" || !Number.isFinite(typed.valueAsNumber)) return;
    const [a, b] = ends();
    const value = now.steps[0].limit > 0 ? Math.log(typed.valueAsNumber) : typed.valueAsNumber;
    slider.value = Math.round(((value - a) / (b - a)) * POSITIONS) || 0;
    show(typed.valueAsNumber);
  });
  const which = make("select", { "aria-label": "what is bounded", onchange(event) { now = bounds[Number(event.target.value)]; begin(); } },
    ...bounds.map(({ metric }, i) => make("option", { value: i }, doc.metrics[metric].heading)));
  const shown = section("Which model to take", make("div", { class: "controls" }, make("label", {}, "At most", typed), which), slider, answer);
  begin();
  return shown;
}
