"""Long work in many steps: some lines in a log, one that changes on a terminal."""

import io

from rich.console import Console

from nas.devices.quick import _without_figures
from nas.report.steps import Steps


def said(terminal):
    out = io.StringIO()
    with Steps(Console(file=out, width=80, force_terminal=terminal, color_system=None)) as steps:
        steps("no device profile: 18 models are measured on this machine first")
        for done in range(1, 20):
            steps(f"exported {done}/19 models, {19 - done} s left")
        for done in range(1, 19):
            line = f"{done}/18 fe274a9ad389     8.35 ms  spread  1.2%  reference 3.21 ms  {18 - done} s left"
            steps(_without_figures(line))
        steps(_without_figures("18 of 18 models measured"))
    return out.getvalue()


def test_a_log_has_six_lines_of_37_steps():
    assert said(terminal=False).splitlines() == [
        "no device profile: 18 models are measured on this machine first",
        "exported 7/19 models, 12 s left",
        "exported 13/19 models, 6 s left",
        "exported 19/19 models, 0 s left",
        "measured 6/18 models, 12 s left",
        "measured 12/18 models, 6 s left",
        "measured 18/18 models, 0 s left",
        "18 of 18 models measured",
    ]


def test_a_terminal_has_one_line_that_changes():
    text = said(terminal=True)
    assert text.count("\n") <= 3 and "measured 5/18 models, 13 s left" in text  # the others replace one another


def test_what_a_runner_says_of_a_failure_or_a_repeat():
    figures = "    8.35 ms  spread  1.2%  reference 3.21 ms"
    assert _without_figures(f"3/18 fe27 {figures}  2 min left") == "measured 3/18 models, 2 min left"
    again = "measured 18/18 models, some once more that were disturbed"
    assert _without_figures(f"18/18 fe27 {figures}  (usually 2.10)  (once more)") == again
    assert _without_figures("3/18 fe27 no kernel for 5/6  2 min left") == "fe27: no kernel for 5/6"
    assert _without_figures("the runtime crashed (status -11)") == "the runtime crashed (status -11)"


def test_quick_work_is_not_counted_and_slow_work_tells_how_long_to_go(monkeypatch):
    told, clock = [], iter([0, 1, 2.5, 3, 10])
    monkeypatch.setattr("nas.report.steps.time.monotonic", lambda: next(clock))
    steps = Steps(Console(file=io.StringIO(), width=80))
    monkeypatch.setattr(Steps, "__call__", lambda self, text: told.append(text))
    tell = steps.counting("decoded")
    for done in (1, 2, 3, 4):
        tell(done, 4)
    assert told == ["decoded 2/4 images, 2 s left", "decoded 4/4 images, 0 s left"]


def test_a_failure_is_said_also_where_steps_are_not():
    out = io.StringIO()
    with Steps(Console(file=out, width=80)) as steps:
        steps(_without_figures("1/18 fe27 no kernel for 5/6  2 min left"))
    assert out.getvalue() == "fe27: no kernel for 5/6\n"
