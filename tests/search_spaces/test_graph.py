"""The layer graph against the networks built from it: counts, shapes, memory."""

import collections
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from search_spaces import InputError, SearchSpace, YoloSpace, build_model, lower
from search_spaces.families import family
from search_spaces.graph import lower_many
from search_spaces.trace import operators

pytestmark = pytest.mark.slow

SPACE = YoloSpace()


def samples(count, seed=0):
    rng = np.random.default_rng(seed)
    return [SPACE.sample(rng) for _ in range(count)]


def note_shape(seen, module, inputs, output):
    seen.append(tuple(output.shape[1:]))


def entry(value, position):
    return value[position] if isinstance(value, np.ndarray) else value


def test_every_layer_has_the_shape_that_the_graph_says():
    for architecture in samples(8):
        model = build_model(architecture, 3).eval()
        graph = lower(architecture, 3, 128)
        seen = []
        for module in model.model[:-1]:
            module.register_forward_hook(partial(note_shape, seen))
        with torch.no_grad():
            model(torch.zeros(1, 3, 128, 128))
        assert seen == [tuple(layer.out_shapes[0]) for layer in graph.layers[:-1]]


def test_columns_lower_like_single_architectures():
    many = samples(200, seed=1)
    for rows, graph in lower_many(many, 5):
        for row in rows[:3]:
            one = lower(many[row], 5)
            position = int(np.flatnonzero(rows == row)[0])
            for layer, column in zip(one.layers, graph.layers):
                assert layer.inputs == column.inputs
                assert layer.module == entry(column.module, position)
                assert layer.arguments == {name: entry(value, position) for name, value in column.arguments.items()}
                assert layer.out_shapes == tuple(
                    tuple(entry(number, position) for number in shape) for shape in column.out_shapes
                )


def test_the_convolutions_are_those_of_the_built_network():
    for architecture in samples(8, seed=2):
        model = build_model(architecture, 3)
        built = collections.Counter(
            (m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], m.groups, m.bias is not None)
            for m in model.modules()
            if isinstance(m, torch.nn.Conv2d)
        )
        traced = collections.Counter(
            (o.inputs[0].shape.channels, o.output.shape.channels, o.kernel, o.stride, o.groups, o.bias)
            for o in operators(lower(architecture, 3))
            if o.kind == "conv"
        )
        assert traced == built


class MemoryTrace(TorchDispatchMode):
    """Records, operator by operator, the storages that depend on the image, as the memory model defines them."""

    IN_PLACE = ("batch_norm", "silu", "relu", "hardtanh")

    def __init__(self, image):
        super().__init__()
        self.root = {image.untyped_storage()._cdata: 0}
        self.sizes = [image.untyped_storage().nbytes()]
        self.steps = []  # (storages read, storage made or None)
        self.alive = [image]  # keeps addresses unique

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [t for a in args for t in (a if isinstance(a, (list, tuple)) else [a]) if isinstance(t, torch.Tensor)]
        read = [self.root[t.untyped_storage()._cdata] for t in tensors if t.untyped_storage()._cdata in self.root]
        if not read:
            return out
        first = out[0] if isinstance(out, (list, tuple)) else out
        address = first.untyped_storage()._cdata
        self.alive.append(out)
        if address in self.root:
            if not func.is_view:
                self.steps.append((read, None))
        elif any(name in func.__name__ for name in self.IN_PLACE):
            self.root[address] = read[0]
        else:
            self.root[address] = len(self.sizes)
            self.sizes.append(first.untyped_storage().nbytes())
            self.steps.append((read, self.root[address]))
        return out

    def peak(self, outputs):
        kept = {self.root[t.untyped_storage()._cdata] for t in outputs}
        last = {storage: step for step, (read, _) in enumerate(self.steps) for storage in read}
        alive = peak = self.sizes[0]
        for step, (read, made) in enumerate(self.steps):
            if made is not None:
                alive += self.sizes[made]
            peak = max(peak, alive)
            alive -= sum(self.sizes[s] for s in set(read) if last[s] == step and s not in kept)
        return peak


@pytest.mark.parametrize("name", ["yolov8n", "light-recipe", "csppc-adown", "hwd-backbone", "random", "yolo11n"])
def test_peak_memory_is_that_of_the_running_network(name):
    from evaluators import complexity

    family_of_it = family("yolo11" if name == "yolo11n" else "yolov8")
    chosen = samples(12, seed=3) if name == "random" else [family_of_it.preset(name)]
    predicted = complexity(chosen, 3, 128).peak_activation_bytes
    for architecture, expected in zip(chosen, predicted):
        model = build_model(architecture, 3).eval()
        head = model.model[-1]
        head.training = True  # raw outputs; the box decoding after them is not part of the memory model
        image = torch.rand(1, 3, 128, 128)
        with torch.no_grad(), MemoryTrace(image) as recorded:
            raw = model(image)
            boxes = head.dfl(raw["boxes"])
        assert recorded.peak([boxes, raw["scores"]]) == expected


def test_a_size_that_is_no_multiple_of_32_is_refused():
    with pytest.raises(InputError, match="multiple of 32 .* not 100"):
        lower(SPACE.preset("yolov8n"), image_size=100)


def test_a_pair_of_sizes_is_height_and_width():
    assert lower(SPACE.preset("yolov8n"), image_size=(128, 256)).layers[0].out_shapes[0][1:] == (64, 128)


def test_a_space_without_layer_graphs_says_so():
    from search_spaces import Choice

    space = SearchSpace("plain", [Choice("image_size", [64])])
    with pytest.raises(InputError, match="'plain' has no layer graph"):
        lower(space.architecture(image_size=64))
