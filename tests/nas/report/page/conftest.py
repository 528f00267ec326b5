"""A run of networks without a training, with references, failures and repeats; and one whose every text is hostile."""

import pytest

from evaluators.complexity import complexity
from nas.storage.run import load_run
from nas.storage.store import Store
from search_spaces import Choice, SearchSpace, YoloSpace

COUNT = 60


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Accuracy that saturates with the MACs, at a predicted latency in proportion; every seventh fails."""
    space = YoloSpace().restrict({"image_size": [320]})
    references = {name: space.preset(name, image_size=320) for name in ("yolov8n", "light-recipe")}
    architectures = [*references.values(), *(space.sample(seed) for seed in range(COUNT - len(references)))]
    costs = complexity(architectures, 3)
    settings = {
        "objectives": [["map50_95", "max"], ["latency_ms", "min"]],
        "constraints": [["params", 6e6, None]],
        "random": True,
        "references": {name: architecture.key for name, architecture in references.items()},
        "num_classes": 3,
        "devices": {"pi": "a board, 4 threads"},
        "config": {"data": "birds.yaml", "epochs": 3},
        "versions": {"python": "3.11", "torch": "2.9"},
    }
    directory = tmp_path_factory.mktemp("page") / "a run"
    directory.mkdir()
    now = [1.7e9]
    with Store.create(
        directory / "store.sqlite", space=space, settings=settings, clock=lambda: now[0], durable=False
    ) as store:
        for number, (architecture, params, macs) in enumerate(zip(architectures, costs.params, costs.macs)):
            ms = 4 + float(macs) / 3e8
            known = {"latency_ms": ms, "latency_low_ms": 0.9 * ms, "latency_high_ms": 1.1 * ms}
            known |= {"params": int(params), "macs": int(macs)}
            good = {**known, "map50_95": 0.8 - 0.5 / (1 + float(macs) / 4e8) + number % 11 / 200}
            for repeat in range(3 if number == 0 else 1):
                store.asked(architecture, known, repeat=repeat)
                store.running(architecture, node="host/1", repeat=repeat)
                now[0] += 100 + number
                if number % 7 == 6:
                    store.failed(architecture, f"out of memory <b>at</b> {number}", seconds=100.0, node="host/1")
                else:
                    metrics = {**good, "map50_95": good["map50_95"] + repeat / 50}
                    store.finished(architecture, metrics, seconds=100.0 + number, node="host/1", repeat=repeat)
        store.set_meta("max_evaluations", COUNT)
        store.set_meta("complete", True)
    return load_run(directory)


HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=alert(1)>",
    "\"' onmouseover='alert(1)",
    "&lt;b&gt; &amp; <!-- ]]>",
    "\x1b[31mred\x1b[0m\x07",
    "two\nlines\r\n\u2028and\u2029more\ttabs",
    "\u202egnp.exe 図 ümlaut \U0001f600",
    "${title} `code` {{x}} %s \\u003c",
    "long" * 500,
)


@pytest.fixture(scope="session", params=range(len(HOSTILE)), ids=lambda number: f"hostile{number}")
def hostile(request):
    return HOSTILE[request.param]


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory):
    """The function that makes a run which holds a text wherever a stranger's can; its folder."""

    def make(text):
        directory = tmp_path_factory.mktemp("hostile") / "run"
        directory.mkdir()
        space = SearchSpace("toy", [Choice("depth", [1, 2, 3]), Choice(f"{text} kind", [f"{text} 1", f"{text} 2"])])
        first, second, third, fourth, *_ = space.enumerate()
        settings = {
            "objectives": [["map50_95", "max"], [f"{text} cost", "min"]],
            "constraints": [[f"{text} cost", 5, None]],
            "references": {text: first.key},
            "devices": {"pi": text},
            "config": {"data": text, "notes": {text: [text]}},
            "versions": {text: text},
            "random": True,
        }
        with Store.create(directory / "store.sqlite", space=space, settings=settings) as store:
            for architecture in (first, second, third, fourth):
                store.asked(architecture, {})
                store.running(architecture, node=text)
            for number, architecture in enumerate((first, second)):
                figures = {"map50_95": 0.5 + number / 10, f"{text} cost": 1.0 + number, "params": 100.0 + number}
                store.finished(architecture, figures, seconds=1.0, node=text)
            store.failed(third, text, seconds=1.0, node=text)
            store.retried(fourth, text, node=text)
        return directory

    return make
