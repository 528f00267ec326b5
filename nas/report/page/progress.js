
// How good the run was after every evaluation, or hour.
function progress() {
  const known = doc.progress;
  if (!known) return null;
  let along = "evaluations";
  const svg = draw("svg", { "aria-hidden": "true" });
  const last = known.values.length - 1;
  const place = make("div", { class: "chart low", role: "img", "aria-label": `${known.what}: ${brief(known.values[last])} after ${known.evaluations[last]} evaluations` }, svg);

  function redraw() {
    const size = measure(place);
    if (!size.width) return;
    const x = scale([0, ...known[along]], size.left, size.right, false);
    const y = scale(known.values, size.bottom, size.top, false);
    frame(svg, size, x, y, [along === "hours" ? "hours searched" : "evaluations finished", known.what]);
    svg.append(draw("path", { class: "line", d: stepped(known.values.map((value, i) => [x(known[along][i]), y(value)])) }));
  }

  whenever(place, redraw);
  const choice = (name) => make("label", {}, make("input", { type: "radio", name: "along", checked: along === name, onchange() { along = name; redraw(); } }), `over ${name}`);
  return section("Progress", make("div", { class: "controls" }, choice("evaluations"), choice("hours")), place,
    known.reference ? make("p", { class: "soft" }, `Volume that is dominated, up to ${known.reference}.`) : null);
}
