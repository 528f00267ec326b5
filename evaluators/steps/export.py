"""Export: the network as an ONNX file."""

from __future__ import annotations

from .step import Step, Workpiece


class Export(Step):
    """Writes the fused network for one image of the architecture's size; what was exported is judged and shipped."""

    name = "export"
    reads = ("weights",)
    writes = ("onnx",)
    metrics = ("file_bytes",)

    def run(self, piece: Workpiece) -> dict[str, float]:
        from ..formats.onnx import export_onnx
        from ..training.checkpoint import load_checkpoint

        model = load_checkpoint(piece.artefact("weights"))
        path = export_onnx(model, piece.directory / "model.onnx", piece.architecture["image_size"])
        piece.wrote("onnx", path)
        return {"file_bytes": path.stat().st_size}


STEP = Export
