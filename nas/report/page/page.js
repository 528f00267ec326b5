
// The page: its sections in order; what is there for readers without JavaScript goes when all of them are made.
function settings() {
  return section("Settings and how to go on",
    make("ul", {}, ...doc.next.map((line) => make("li", {}, ...withCommands(line)))),
    make("pre", { tabindex: "0", "aria-label": "settings" }, doc.settings.join("\n")),
    make("dl", {}, ...doc.versions.flatMap(([what, text]) => [make("dt", {}, what), make("dd", {}, text)])));
}

const page = document.getElementById("page");
const sections = [finished.length ? scatter() : null, bound(), progress(), model(), evaluations(), settings()];
page.replaceChildren(...sections.filter(Boolean));
page.hidden = false;
document.getElementById("plain").hidden = true;
