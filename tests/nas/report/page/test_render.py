"""The page as a file: whole, closed, without a way to a network, and with text from outside as text."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from nas import load_run
from nas.report.page.collect import collect
from nas.report.page.render import is_our_page, render
from search_spaces.text import printable

VOID = {"meta", "img", "br", "input", "link"}
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "dl", "dt", "dd", "main", "section"),
    *("img", "div", "table", "thead", "tbody", "tr", "th", "td", "pre", "script"),
}


class Page(HTMLParser):
    """Elements, text by element, and whether every one that is opened is closed."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts = [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(text)


@pytest.fixture(scope="module")
def text(run):
    return render(collect(run))


def test_it_is_whole_and_reads_without_a_program(run, text):
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>") and {tag for tag, _ in page.elements} <= TAGS
    cells = page.texts["td"]
    assert [cells[i] for i in range(0, len(cells), len(page.texts["th"]))][: len(run.front)] == [
        " ".join(filter(None, [e.key, {v: k for k, v in run.settings["references"].items()}.get(e.key)]))
        for e in run.front
    ]
    (image,) = (attributes for tag, attributes in page.elements if tag == "img")
    content = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
    assert content.startswith(b"\x89PNG") and image["alt"]
    assert "data: birds.yaml\nepochs: 3" in page.texts["pre"][0]


def test_nothing_else_runs_and_nothing_is_fetched(text):
    page = Page(text)
    (policy,) = (
        a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    (style,), (program,) = page.texts["style"], re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    for rule, content in (("style-src", style), ("script-src", program)):
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.elements for name in attributes)
    assert set(re.findall(r"https?://[^\s\"'<)]*", text)) == {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert "innerHTML" not in program and "eval(" not in program


def test_what_users_wrote_is_text(hostile_run, hostile):
    document = collect(load_run(hostile_run(hostile)))
    text = render(document)
    page = Page(text)
    assert {tag for tag, _ in page.elements} <= TAGS and len([tag for tag, _ in page.elements if tag == "script"]) == 2
    embedded = json.loads(next(t for t in page.texts["script"] if t.startswith("{")))
    assert embedded == {name: value for name, value in document.items() if name != "picture"}
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]", text)
    shown = printable(hostile)
    assert shown in "".join(page.texts["dd"]) and any(shown in cell for cell in page.texts["td"])
    assert shown in [name for _, name in embedded["references"]] and shown in embedded["evaluations"]["reason"]


def test_a_mark_tells_our_pages(text, tmp_path):
    (tmp_path / "ours.html").write_text(text, encoding="utf-8")
    (tmp_path / "other.html").write_text("<html>evoyolo report</html>")
    assert is_our_page(tmp_path / "ours.html")
    assert (
        not is_our_page(tmp_path / "other.html")
        and not is_our_page(tmp_path / "none.html")
        and not is_our_page(tmp_path)
    )
