"""The page in a browser, where there is one: no complaint, no request, and the same answers as the commands."""

import json

import pytest

from nas.delivery.page import write_page
from nas.delivery.selection import choose
from nas.formatting import number as figure
from nas.formatting import with_error
from nas.storage.run import load_run
from search_spaces.text import printable
from tests import browser as driver
from tests.nas.report.page.conftest import HOSTILE

pytestmark = [pytest.mark.slow, pytest.mark.skipif(driver.chromium() is None, reason="no Chromium is installed")]


@pytest.fixture(scope="module")
def browser():
    with driver.browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def file(run, tmp_path_factory):
    """The run's page."""
    return write_page(run, tmp_path_factory.mktemp("shown") / "page.html")


@pytest.fixture
def page(browser, file):
    """The browser with the run's page."""
    browser.open(file)
    yield browser
    assert browser.problems == [] and {url.partition(":")[0] for url in browser.requests} <= {"file", "data"}


def texts(browser, selector):
    return json.loads(
        browser.run(f"JSON.stringify([...document.querySelectorAll({selector!r})].map((e) => e.textContent))")
    )


def typed(browser, selector, value):
    browser.run(
        f"(() => {{ const e = document.querySelector({selector!r}); e.value = {value!r}; e.dispatchEvent(new Event('input')); }})()"
    )


def test_all_sections_are_there_and_the_plain_ones_gone(page):
    assert texts(page, "main h2") == [
        *(
            "The front",
            "Which model to take",
            "Progress",
            "The selected model",
            "All evaluations",
            "Settings and how to go on",
        )
    ]
    assert page.run("getComputedStyle(document.getElementById('plain')).display") == "none"


@pytest.mark.parametrize("metric", ["latency_ms", "params", "macs"])
def test_the_page_picks_what_the_command_picks(page, run, metric):
    option = {"latency_ms": 0, "params": 1, "macs": 2}[metric]
    page.run(
        f"(() => {{ const e = document.querySelector('[aria-label=\"what is bounded\"]'); e.value = {option}; e.dispatchEvent(new Event('change')); }})()"
    )
    asked = set()
    for position in range(0, 401, 80):
        typed(page, "input[type=range]", str(position))
        words = texts(page, "#pick code")[-1].split()
        assert words[-2] == f"--max-{metric.replace('_', '-')}" and words[:2] == ["evoyolo", "pick"]
        picked = choose(run.directory, **{f"max_{metric}": float(words[-1])})
        key = texts(page, "#pick strong")[0].split()[0]
        assert key == picked.evaluation.key
        asked.add(key)
        first = with_error("map50_95", picked.judged.metrics["map50_95"], picked.judged.errors)
        assert first in texts(page, "#pick p")[0] and first in texts(page, "#sentence")[0]
    assert len(asked) > 2
    typed(page, "input[type=number]", "0.001")
    assert texts(page, "#pick p")[0].startswith("No model surely has")


def test_the_keyboard_selects_and_two_are_compared(page, run):
    page.run("document.querySelector('.chart').focus()")
    for key in ("ArrowRight", "Enter", "ArrowRight", "Enter"):
        page.press(key)
    ascending = sorted(run.front, key=lambda e: run.mean(e)["latency_ms"])
    headings = texts(page, ".models h3")
    assert [ascending[i].key in headings[i] for i in range(2)] == [True, True] and headings[0].startswith("A")
    told = texts(page, ".told")[0]
    assert ascending[1].key in told and "on the front" in told and "beside yolov8n: " in told
    page.press("Enter")
    assert len(texts(page, ".models h3")) == 1
    total = texts(page, ".models tr.total:last-child td")
    assert total[3] == f"{int(ascending[0].metrics['params']):,}"


def test_figures_are_those_of_the_commands(page, run):
    typed(page, "input[type=search]", "front finished")
    rows = texts(page, "[aria-label=evaluations] tbody tr td")
    width = len(texts(page, "[aria-label=evaluations] th"))
    rows = {cells[0].split()[0]: cells for cells in (rows[i : i + width] for i in range(0, len(rows), width))}
    headings = texts(page, "[aria-label=evaluations] th")
    assert rows.keys() == {e.key for e in run.front}
    for judged in run.judgement.front:
        cells = dict(zip(headings, rows[judged.evaluation.key]))
        assert cells["mAP50-95"] == with_error("map50_95", judged.metrics["map50_95"], judged.errors)
        for heading, name in (("predicted ms", "latency_ms"), ("parameters", "params"), ("MACs", "macs")):
            assert cells[heading] == figure(name, judged.metrics[name])


def test_the_table_is_sorted_and_filtered(page, run):
    place = texts(page, "[aria-label=evaluations] th").index("parameters")
    shown = f"[aria-label=evaluations] tbody td:nth-child({place + 1})"
    page.run(f"document.querySelectorAll('[aria-label=evaluations] th button')[{place}].click()")
    values = [int(text.replace(",", "")) for text in texts(page, shown)]
    assert values == sorted(values) and len(values) == 50
    page.run(f"document.querySelectorAll('[aria-label=evaluations] th button')[{place}].click()")
    values = [int(text.replace(",", "")) for text in texts(page, shown)]
    assert values == sorted(values, reverse=True)
    assert (
        page.run(f"document.querySelectorAll('[aria-label=evaluations] th')[{place}].getAttribute('aria-sort')")
        == "descending"
    )
    typed(page, "input[type=search]", "failed memory")
    failed = [e for e in run.all_evaluations if str(e.status) == "failed"]
    assert texts(page, "[role=status]") == [f"1 to {len(failed)} of {len(failed)}"]
    assert any("<b>at</b>" in text for text in texts(page, "[aria-label=evaluations] td"))


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_it_in_one_column(browser, file, dark):
    browser.open(file, width=360, height=740, dark=dark)
    browser.run("document.querySelector('#pick button').click()")
    assert browser.run("document.documentElement.scrollWidth") <= 360 and browser.problems == []
    paper = browser.run("getComputedStyle(document.documentElement).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") != dark


def test_without_a_program_the_picture_and_the_front_stay(browser, file, run):
    browser.open(file, script=False)
    assert browser.run(
        "document.getElementById('plain').offsetHeight > 300 && document.querySelector('#plain img').naturalWidth > 300"
    )
    assert browser.run("document.querySelectorAll('#plain tbody tr').length") == len(run.front)


def test_what_users_wrote_is_shown_and_never_run(browser, hostile_run, tmp_path):
    for number, text in enumerate((" ".join(HOSTILE[:-1]), HOSTILE[-1])):
        path = write_page(load_run(hostile_run(text)), tmp_path / f"{number}.html")
        browser.open(path)
        browser.run("document.querySelector('#pick button').click()")
        text = printable(text)
        assert browser.run("document.title") == "run" and browser.problems == []
        assert text in texts(browser, "[aria-label=evaluations] tbody")[0] and text in texts(browser, ".models")[0]
        assert text in texts(browser, "ul li")[0] and browser.run("document.images.length") <= 1
        assert browser.run("document.documentElement.scrollWidth") <= 1280
