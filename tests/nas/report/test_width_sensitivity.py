"""The picture of what widths bear: a line for each, the least bearing on top."""

from PIL import Image

from nas.report import width_sensitivity as module
from nas.report.picture import is_our_picture
from nas.report.width_sensitivity import draw_width_sensitivity


def rows(widths, ratios=(0.25, 0.5)):
    return [
        {"layer": width, "width": width, "ratio": ratio, "channels": 8, "loss": 1.0, "rise": rise * ratio}
        for width, rise in widths.items()
        for ratio in ratios
    ]


def test_every_width_has_its_line_in_the_order_of_its_rise(tmp_path, monkeypatch):
    drawn, picture = [], module.picture

    def looked_at(*args):
        return _Looking(picture(*args), drawn)

    monkeypatch.setattr(module, "picture", looked_at)
    draw_width_sensitivity(rows({"p2_width": 0.1, "stem_width": 4.0, "$p5": -0.02}), tmp_path / "a.png")
    ((labels, offsets),) = drawn
    assert labels == [r"\$p5", "p2_width", "stem_width"]
    assert offsets == [[(0.025, 1.0), (1.0, 2.0), (-0.005, 0.0)], [(0.05, 1.0), (2.0, 2.0), (-0.01, 0.0)]]
    assert is_our_picture(tmp_path / "a.png")


def test_more_widths_make_it_higher(tmp_path):
    for count in (3, 50):
        draw_width_sensitivity(rows({f"w{i}": i + 1 for i in range(count)}), tmp_path / f"{count}.png")
    heights = [Image.open(tmp_path / f"{count}.png").size[1] for count in (3, 50)]
    assert heights[1] - heights[0] > 47 * 20  # pixels for a line of text


class _Looking:
    def __init__(self, manager, drawn):
        self.manager, self.drawn = manager, drawn

    def __enter__(self):
        self.axes = self.manager.__enter__()
        return self.axes

    def __exit__(self, *failed):
        labels = [text.get_text() for text in self.axes.get_yticklabels()]
        offsets = [[tuple(map(float, p)) for p in each.get_offsets()] for each in self.axes.collections]
        self.drawn.append((labels, offsets))
        return self.manager.__exit__(*failed)
