"""The models of a front as files: model file, checkpoint, ONNX; and their latency measured once more, undisturbed."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from evaluators.checkpoint import load_checkpoint
from evaluators.detector import CHECKPOINT
from evaluators.latency import export_onnx, measure_latency
from search_spaces.build import save_yaml

from .run import STORE, Run
from .store import Store


def deliver(run: Run, latency_threads: int, say: Callable[[str], None]) -> dict[str, dict[str, str]]:
    """Write model.yaml, best.pt and model.onnx of every model on the front; measure the latency of each again.

    During the search other trials kept the machine busy; now nothing else of ours runs. The new figure replaces
    `latency_ms` in the store (for the reference models too) and the old one is kept as `latency_ms_in_search`.

    Returns:
        key -> {"yaml": ..., "checkpoint": ..., "onnx": ...}, paths relative to the run's folder.
    """
    files = {}
    references = set(run.settings.get("references", {}).values())
    on_front = {e.key for e in run.front}
    again = [e for e in run.evaluations if e.key in on_front | references]
    with Store.open(run.directory / STORE) as store:
        for number, evaluation in enumerate(again, start=1):
            source = run.directory / "trials" / evaluation.key / CHECKPOINT
            if not source.exists():
                say(f"{evaluation.key}: {source} is gone, so its files cannot be written")
                continue
            folder = run.directory / "models" / evaluation.key
            folder.mkdir(parents=True, exist_ok=True)
            model = load_checkpoint(source)
            save_yaml(folder / "model.yaml", evaluation.architecture, len(model.names), model.names)
            shutil.copyfile(source, folder / CHECKPOINT)
            onnx = export_onnx(model, folder / "model.onnx", evaluation.architecture["image_size"])
            measured = measure_latency(onnx, threads=latency_threads)
            if "latency_ms" in evaluation.metrics:
                store.amend(
                    evaluation.architecture,
                    {
                        "latency_ms": measured.median_ms,
                        "latency_iqr_ms": measured.iqr_ms,
                        "latency_ms_in_search": evaluation.metrics.get("latency_ms_in_search", evaluation.metrics["latency_ms"]),
                    },
                )
            store.set_meta("latency", measured.to_dict())
            files[evaluation.key] = {
                kind: str((folder / name).relative_to(run.directory))
                for kind, name in (("yaml", "model.yaml"), ("checkpoint", CHECKPOINT), ("onnx", "model.onnx"))
            }
            say(f"{number}/{len(again)} exported {evaluation.key}: {measured.median_ms:.2f} ms, {onnx.stat().st_size / 1e6:.1f} MB ONNX")
    return files
