"""The models of a front as files: model file, checkpoint, ONNX; and their latency measured once more, undisturbed."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from evaluators.checkpoint import load_checkpoint
from evaluators.detector import CHECKPOINT
from evaluators.latency import Latency, export_onnx, measure_latency
from search_spaces.build import save_yaml

from .run import STORE, Run
from .store import Evaluation, Store


def deliver(run: Run, latency_threads: int, say: Callable[[str], None]) -> tuple[Run, dict[str, dict[str, str]]]:
    """Measure latency again and write model.yaml, best.pt and model.onnx of every model on the front.

    During the search other trials kept the machine busy; now nothing else of ours runs. Measured again is what is on
    the front or next to it (the first two non-dominated ranks), so that a model which only seemed slow can return, and
    the reference models. The new figure replaces `latency_ms` in the store, the old one is kept as
    `latency_ms_in_search`.

    Returns:
        The run as it is now, and key -> {"yaml": ..., "checkpoint": ..., "onnx": ...}, paths relative to its folder.
    """
    references = set(run.settings.get("references", {}).values())
    near = {e.key for e, rank in run.ranked() if rank <= 1}
    again = [e for e in run.evaluations if e.key in near | references]
    files = {}
    with Store.open(run.directory / STORE) as store:
        for number, evaluation in enumerate(again, start=1):
            who = f"{number}/{len(again)} {evaluation.key}"
            try:
                files[evaluation.key], latency = _export(run, evaluation, latency_threads)
            except Exception as error:  # one model that a runtime refuses does not cost the others their files
                say(f"{who} could not be exported: {type(error).__name__}: {error}".splitlines()[0])
                continue
            store.set_meta("latency", latency.to_dict())
            in_search = evaluation.metrics.get("latency_ms_in_search", evaluation.metrics["latency_ms"])
            store.amend(
                evaluation.architecture,
                {
                    "latency_ms": latency.median_ms,
                    "latency_iqr_ms": latency.iqr_ms,
                    "latency_ms_in_search": in_search,
                },
            )
            say(f"{who}: {latency.median_ms:.2f} ms (interquartile range {latency.iqr_ms:.2f}), {in_search:.2f} in the search")
    run = Run(run.directory, run.space)
    kept = {e.key for e in run.front} | references
    for folder in (run.directory / "models").glob("*"):  # also what was on the front before the search went on
        if folder.name not in kept:
            shutil.rmtree(folder)
    return run, {key: paths for key, paths in files.items() if key in kept}


def _export(run: Run, evaluation: Evaluation, latency_threads: int) -> tuple[dict[str, str], Latency]:
    folder = run.directory / "models" / evaluation.key
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"yaml": folder / "model.yaml", "checkpoint": folder / CHECKPOINT, "onnx": folder / "model.onnx"}
    trained = run.directory / "trials" / evaluation.key / CHECKPOINT
    model = load_checkpoint(trained)
    save_yaml(paths["yaml"], evaluation.architecture, len(model.names), model.names)
    shutil.copyfile(trained, paths["checkpoint"])
    export_onnx(model, paths["onnx"], evaluation.architecture["image_size"])
    latency = measure_latency(paths["onnx"], threads=latency_threads)
    return {kind: str(path.relative_to(run.directory)) for kind, path in paths.items()}, latency
