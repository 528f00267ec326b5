"""The page of a document: one HTML file that needs nothing else, and may fetch nothing.

    page.html with the style (*.css), the program (*.js) and the document as JSON; without JavaScript a picture and a table stay

The drawing is ours, a canvas for the points and SVG for the rest: a library's program would be some megabytes in every file, and the
points here are reached with a keyboard.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from ...formatting import number, rounded

MARK = '<meta name="generator" content="evoyolo report">'  # what our pages say that they were made by
PROGRAM = (
    "base.js",
    "chart.js",
    "scatter.js",
    "bound.js",
    "progress.js",
    "model.js",
    "table.js",
    "page.js",
)  # in this order
ESCAPED = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def render(document: Mapping[str, Any]) -> str:
    """The HTML of a document that `collect` has made."""
    style = _asset("page.css")
    program = '"use strict";\n(() => {\n' + "".join(map(_asset, PROGRAM)) + "})();\n"
    data = {name: value for name, value in document.items() if name != "picture"}
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Template(_asset("page.html")).substitute(
        mark=MARK,
        policy=f"default-src 'none'; img-src data:; style-src {_source(style)}; script-src {_source(program)}; "
        "base-uri 'none'; form-action 'none'",
        title=escape(document["title"]),
        state=escape(document["state"]),
        made=escape(document["made"]),
        sentence=escape(document["sentence"]),
        facts="".join(f"<dt>{escape(what)}</dt><dd>{escape(text)}</dd>" for what, text in document["facts"]),
        picture=_picture(document),
        front=_front(document),
        settings=escape("\n".join(document["settings"])),
        style=style,
        program=program,
        document=text.translate(ESCAPED),
    )


def is_our_page(path: Path) -> bool:
    """Whether a file is a page that this module has made."""
    try:
        with open(path, "rb") as file:
            return MARK.encode() in file.read(1024)
    except OSError:
        return False


def _asset(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """What a policy calls an inline script or style: by its digest, so that no other one runs."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _picture(document: Mapping[str, Any]) -> str:
    source = document["picture"]
    return f'<img src="{escape(source)}" alt="the front, drawn; its figures are in the table">' if source else ""


def _front(document: Mapping[str, Any]) -> str:
    """The front as a plain table."""
    if not document["front"]:
        return ""
    columns, table, named = document["metrics"], document["evaluations"], dict(document["references"])
    head = "".join(f"<th>{escape(text)}</th>" for text in ("model", *(column["heading"] for column in columns)))
    body = ""
    for row in document["front"]:
        cells = [" ".join(filter(None, (table["trial"][row], named.get(row))))]
        for column, values in zip(columns, table["metrics"]):
            cells.append(_cell(column, values[row], table["trainings"][row]))
        body += f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>\n"
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _cell(column: Mapping[str, Any], value: float | None, trainings: int) -> str:
    if value is None:
        return "-"
    text, deviation = number(column["name"], value), column["deviation"]
    return f"{text} ± {rounded(deviation / trainings**0.5)}" if deviation else text
