"""Measures packed models on a device: stands alone, for Python 3.8+ with numpy and one runtime.

`evoyolo device pack` copies this file as run.py beside manifest.json; everything else in evoyolo measures with the
same functions. The protocol is described in docs/latency.md.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
import warnings

import numpy as np

VERSION = 1  # of manifest.json and of the results
RESULTS = "results.json"
TIMED = "network and box decoding, without NMS"

# The protocol. Slices of the model and of a reference model alternate, so that both see the same state of the machine.
WARMUP_SECONDS, WARMUP_RUNS, WARMUP_LIMIT, STABLE = 0.2, 4, 3.0, 0.05
SLICE_SECONDS, SLICE_RUNS = 0.02, 2  # at least, after one run that only brings the caches back
FEWEST_ROUNDS, MOST_ROUNDS, MODEL_SECONDS = 9, 60, 0.6
SLOW_SECONDS, SLOW_ROUNDS = 1.0, 5  # of a model whose slice takes longer than this, so many rounds will do
PRECISE = 0.0075  # standard error of the median, as a share of it, at which a measurement is done
LIMIT_SECONDS = 8.0  # rounds stop here, precise or not
WIDEST = 0.25  # interquartile range as a share of the median: above it a figure is refused
# A machine has states: a virtual core that shares its core with a neighbour, a hot board. Networks slow down by
# different factors in them, so only rounds count in which the reference takes its usual time.
USUAL_SECONDS = 4.0  # to find out the usual one
USUAL = 0.12  # largest deviation from it, as a share
WAIT_SECONDS = 20.0  # for the usual state to come back
PATIENCE = 4  # models in a row for which it did not: then the state that the machine is in is the usual one
ATTEMPTS = 2  # of a model whose measurement killed the process


class Unavailable(Exception):
    """A runtime, a device or a precision that is not there; the message says how to get it."""


class Unstable(Exception):
    """The spread stayed too large for a figure to be reported."""


# -- runtimes: each loader returns (a function that runs the model once, the version) --------------------------------


def _image(shape):
    return np.random.default_rng(0).random(tuple(shape), dtype=np.float32)


def load_onnxruntime(path, shape, threads, device, precision, spin=True):
    try:
        import onnxruntime
    except ImportError:
        raise Unavailable("ONNX Runtime is not installed; `pip install onnxruntime` brings it")
    provider = {"cpu": "CPU", "cuda": "CUDA", "tensorrt": "Tensorrt"}[device] + "ExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise Unavailable(
            "ONNX Runtime %s has no provider for %r here (it has %s); `pip install onnxruntime-gpu` brings CUDA and "
            "TensorRT where NVIDIA's libraries are installed"
            % (onnxruntime.__version__, device, ", ".join(onnxruntime.get_available_providers()))
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    # Threads wait actively inside a run, as by default, but not between runs: those of the reference model would take
    # the cores of the one that is measured. Beside other work (spin=False) they never do.
    entry = ("session.force_spinning_stop", "1") if spin else ("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(*entry)
    settings = {}
    if device == "tensorrt":
        settings = {"trt_fp16_enable": precision == "FP16", "trt_int8_enable": precision == "INT8"}
    session = onnxruntime.InferenceSession(path, options, providers=[(provider, settings)])
    if session.get_providers()[0] != provider:  # it falls back to the CPU by itself
        raise Unavailable("ONNX Runtime could not start %s (it would run on the CPU)" % provider)
    feed = {session.get_inputs()[0].name: _image(shape)}
    return lambda: session.run(None, feed), onnxruntime.__version__


def load_openvino(path, shape, threads, device, precision, spin=True):
    try:
        import openvino
    except ImportError:
        raise Unavailable("OpenVINO is not installed; `pip install openvino` brings it")
    core = openvino.Core()
    if device.upper() not in {name.split(".")[0] for name in core.available_devices}:
        raise Unavailable("OpenVINO sees no device %r here; it sees %s" % (device, ", ".join(core.available_devices)))
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f16" if precision == "FP16" else "f32"}
    if device == "cpu":
        settings.update({"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1})
    request = core.compile_model(core.read_model(path), device.upper(), settings).create_infer_request()
    request.get_input_tensor().data[:] = _image(shape)
    return request.infer, openvino.__version__.split("-")[0]


def load_ncnn(path, shape, threads, device, precision, spin=True):
    try:
        import ncnn
    except ImportError:
        raise Unavailable("ncnn is not installed; `pip install ncnn` brings it")
    net = ncnn.Net()
    half = precision == "FP16"
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = half
    net.opt.use_bf16_storage = False
    weights = path[: -len(".param")] + ".bin"
    if net.load_param(path) or net.load_model(weights):
        raise RuntimeError("ncnn cannot load %s" % os.path.basename(path))
    data = np.ascontiguousarray(_image(shape)[0])
    image = ncnn.Mat(data)

    def run(keep=(net, data)):
        extractor = net.create_extractor()
        extractor.input("in0", image)
        status, output = extractor.extract("out0")
        if status:
            raise RuntimeError("ncnn ended with status %d" % status)
        return np.array(output)

    return run, ncnn.__version__


def load_pytorch(path, shape, threads, device, precision, spin=True):
    try:
        import torch
    except ImportError:
        raise Unavailable("PyTorch is not installed; `pip install torch` brings it")
    if device == "cuda" and not torch.cuda.is_available():
        raise Unavailable("PyTorch %s sees no CUDA device" % torch.__version__)
    torch.set_num_threads(threads)
    kind = torch.float16 if precision == "FP16" else torch.float32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is on its way out, and what every PyTorch of these years runs
        model = torch.jit.load(path, map_location=device).eval().to(kind)
        model = torch.jit.freeze(model)  # now, since frozen weights stay in the precision they have
    image = torch.from_numpy(_image(shape)).to(device, kind)

    def run():
        with torch.inference_mode():
            return model(image)

    if device == "cuda":  # the device's own clock: what it took there, not what it took to ask for it
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

        def timer():
            begin.record()
            run()
            end.record()
            end.synchronize()
            return begin.elapsed_time(end)

        run.timer = timer
    return run, torch.__version__


# runtime -> (loader, the kind of file it reads, its devices, its precisions)
RUNTIMES = {
    "onnxruntime": (load_onnxruntime, "onnx", ("cpu", "cuda", "tensorrt"), ("FP32", "FP16", "INT8")),
    "openvino": (load_openvino, "onnx", ("cpu", "gpu"), ("FP32", "FP16", "INT8")),
    "ncnn": (load_ncnn, "ncnn", ("cpu",), ("FP32", "FP16")),
    "pytorch": (load_pytorch, "torchscript", ("cpu", "cuda"), ("FP32", "FP16")),
}


def check(runtime, device, precision):
    """Raise Unavailable unless the runtime is one that has the device and the precision."""
    if runtime not in RUNTIMES:
        raise Unavailable("no runtime %r; there are %s" % (runtime, ", ".join(RUNTIMES)))
    _, _, devices, precisions = RUNTIMES[runtime]
    if device not in devices:
        raise Unavailable("%s runs on %s, not on %r" % (runtime, ", ".join(devices), device))
    if precision not in precisions:
        raise Unavailable("%s is measured in %s, not in %s" % (runtime, ", ".join(precisions), precision))
    if runtime == "onnxruntime" and precision == "FP16" and device != "tensorrt":
        raise Unavailable("onnxruntime runs these models in FP16 on tensorrt only, not on %s" % device)


def load(runtime, path, shape, threads, device, precision, spin=True):
    """(function that runs the model once, version of the runtime).

    Raises:
        Unavailable: the runtime is not installed, or has no such device or precision.
    """
    check(runtime, device, precision)
    return RUNTIMES[runtime][0](str(path), shape, threads, device, precision, spin)


# -- the protocol ----------------------------------------------------------------------------------------------------


def time_once(run):
    timer = getattr(run, "timer", None)
    if timer:
        return timer()
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)


def _slice(run):
    """Times in ms of one slice, its first run left out."""
    time_once(run)
    times, start = [], time.perf_counter()
    while len(times) < SLICE_RUNS or time.perf_counter() - start < SLICE_SECONDS:
        times.append(time_once(run))
    return times


def _warm_up(run):
    """Run until two batches in a row agree; the number of runs."""
    start, count, before = time.perf_counter(), 0, None
    while True:
        batch, began = [], time.perf_counter()
        while len(batch) < WARMUP_RUNS or time.perf_counter() - began < WARMUP_SECONDS / 2:
            batch.append(time_once(run))
        count += len(batch)
        now = float(np.median(batch))
        if before and abs(now - before) <= STABLE * before or time.perf_counter() - start > WARMUP_LIMIT:
            return count
        before = now


def usual_ms(reference):
    """The reference model's latency in the machine's fast state: the lower quartile of its slices for some seconds."""
    _warm_up(reference)
    start, levels = time.perf_counter(), []
    while time.perf_counter() - start < USUAL_SECONDS:
        levels.append(np.median(_slice(reference)))
        time.sleep(SLICE_SECONDS)  # to see more of the machine's states in less work
    return float(np.percentile(levels, 25))


def is_slow(reference_ms, expected_ms):
    return expected_ms is not None and reference_ms > (1 + USUAL) * expected_ms


def _is_fast(reference_ms, expected_ms):
    return reference_ms < (1 - USUAL) * expected_ms


def measure(run, reference, expected_ms=None, wait_seconds=WAIT_SECONDS, refuse=True):
    """One measurement of `run`, with slices of `reference` between its own.

    Args:
        expected_ms: the reference's usual latency; rounds in which it is slower do not count, unless the machine
            stays in that state for longer than `wait_seconds`. None takes all rounds.
        refuse: figures that spread too widely.

    Returns:
        A dict: `ratio` to the reference, the median over rounds of the slice's median divided by the mean of the
        reference's slices before and after it; `ratio_q25`, `ratio_q75`; `raw_ms`, the uncorrected median;
        `reference_ms`, the reference's median meanwhile; `rounds`, `repeats`, `warmup`.

    Raises:
        Unstable: the interquartile range of the ratio stayed above a quarter of its median.
    """
    warmup = _warm_up(run)
    _warm_up(reference)
    start, waited = time.perf_counter(), 0.0
    before = _slice(reference)
    usual, other = [], []  # rounds in the usual state and in another: (ratio, own times, reference times)
    while True:
        began = time.perf_counter()
        own = _slice(run)
        after = _slice(reference)
        levels = float(np.median(before)), float(np.median(after))
        row = (np.median(own) / (0.5 * sum(levels)), own, after)
        before = after
        if not any(is_slow(level, expected_ms) for level in levels):
            usual.append(row)
        else:
            other.append(row)
            time.sleep(SLICE_SECONDS)
            waited += time.perf_counter() - began
        rows = usual if waited < wait_seconds or len(usual) >= SLOW_ROUNDS else other
        fewest = SLOW_ROUNDS if sum(own) > 1000 * SLOW_SECONDS else FEWEST_ROUNDS
        if len(rows) < SLOW_ROUNDS or len(rows) < fewest and waited < wait_seconds:
            continue
        ratios = [row[0] for row in rows]
        low, middle, high = np.percentile(ratios, (25, 50, 75))
        # of the median of a normal sample: 1.2533 sd / sqrt(n), with sd = IQR / 1.349
        error = 0.929 * (high - low) / len(ratios) ** 0.5
        enough = sum(sum(row[1]) for row in rows) >= 1000 * MODEL_SECONDS and error <= PRECISE * middle
        if enough or len(rows) >= MOST_ROUNDS or time.perf_counter() - start - waited > LIMIT_SECONDS:
            break
        if waited >= wait_seconds:
            break
    if refuse and high - low > WIDEST * middle:
        raise Unstable(
            "the spread stayed too large: interquartile range %.0f%% of the median after %d rounds; "
            "something else uses this machine" % (100 * (high - low) / middle, len(rows))
        )
    times = [value for row in rows for value in row[1]]
    return {
        "ratio": float(middle),
        "ratio_q25": float(low),
        "ratio_q75": float(high),
        "raw_ms": float(np.median(times)),
        "reference_ms": float(np.median([value for row in rows for value in row[2]])),
        "rounds": len(rows),
        "repeats": len(times),
        "warmup": warmup,
    }


def device_name():
    """The processor's (or the board's) name."""
    for path, key in (("/proc/device-tree/model", None), ("/proc/cpuinfo", "model name"), ("/proc/cpuinfo", "Model")):
        try:
            with open(path, errors="replace") as stream:
                for line in stream:
                    if key is None or line.startswith(key):
                        return line.rpartition(":")[2].strip(" \t\n\0")
        except OSError:
            pass
    return platform.processor() or platform.machine()


def reference_precision(precision):
    """The reference is never quantised: it only tells the state of the machine."""
    return "FP32" if precision == "INT8" else precision


def accelerator_name(device):
    """The name of what `device` stands for."""
    if device == "cpu":
        return device_name()
    if device == "gpu":  # OpenVINO's: an Intel one
        return "gpu of %s" % device_name()
    try:
        output = subprocess.check_output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], text=True)
        return output.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "%s of %s" % (device, device_name())


# -- the run over a pack ---------------------------------------------------------------------------------------------


def checksum(document):
    """Of everything in a results document but the checksum itself."""
    content = {name: value for name, value in document.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _save(document, path):
    document["checksum"] = checksum(document)
    with open(path + ".tmp", "w") as stream:
        json.dump(document, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path + ".tmp", path)


def _read(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except OSError as error:
        sys.exit("%s: cannot be read (%s)" % (path, error.strerror))
    except ValueError:
        sys.exit("%s: not valid JSON; was it cut off? Move it away or copy it again" % path)


def _duration(seconds):
    return "%d s" % seconds if seconds < 90 else "%d min" % round(seconds / 60)


def work(folder, settings, output):
    """Measure every model of the manifest that the results do not hold yet; results are saved after each."""
    manifest = _read(os.path.join(folder, "manifest.json"))
    runtime = settings["runtime"]
    kind = RUNTIMES[runtime][1]

    def open_model(model, precision=settings["precision"]):
        path = os.path.join(folder, model["files"][kind])
        size = model["image_size"]
        shape = (1, 3, size[0], size[1])
        return load(runtime, path, shape, settings["threads"], settings["device"], precision)

    if os.path.exists(output):
        document = _read(output)
        if document.get("checksum") != checksum(document):
            sys.exit("%s was changed after it was measured; move it away to measure again" % output)
        same = ("runtime", "device", "precision", "threads")
        if document.get("manifest") != manifest["id"] or any(document.get(n) != settings[n] for n in same):
            sys.exit("%s is of another pack or of other settings; move it away or name another --output" % output)
    else:
        document = {
            "evoyolo_results": VERSION,
            "manifest": manifest["id"],
            "models": manifest["models"],
            "reference": manifest["reference"],
            "num_classes": manifest["num_classes"],
            "space": manifest["space"],
            "machine": accelerator_name(settings["device"]),
            "system": "%s %s, Python %s" % (platform.system(), platform.machine(), platform.python_version()),
            "batch": 1,
            "timed": TIMED,
            "measurements": [],
            "attempts": {},
            "repeated": [],
            **settings,
        }
    try:
        reference, version = open_model(manifest["reference"], reference_precision(settings["precision"]))
        now = usual_ms(reference)
    except Unavailable:
        raise
    except Exception as error:
        sys.exit("the reference model cannot be run: " + ("%s: %s" % (type(error).__name__, error)).splitlines()[0])
    if document.setdefault("version", version) != version:
        sys.exit("%s was begun with %s %s, this is %s" % (output, runtime, document["version"], version))
    document["expected_ms"] = min(now, document.get("expected_ms", now))
    models = {model["name"]: model for model in manifest["models"]}
    total, began, count, astray = len(models), time.time(), 0, 0

    def waiting():
        """Models without a result; then, once each, those that another state of the machine disturbed."""
        results = {m["name"]: m for m in document["measurements"]}
        yield from (name for name in models if name not in results)
        for m in list(document["measurements"]):
            level = m.get("reference_ms", document["expected_ms"])
            unusual = is_slow(level, document["expected_ms"]) or _is_fast(level, document["expected_ms"])
            unusual = unusual or m.get("failed", "").startswith(Unstable.__name__)
            if unusual and m["name"] not in document["repeated"]:
                document["repeated"].append(m["name"])
                yield m["name"]

    for name in waiting():
        attempts = document["attempts"].get(name, 0)
        entry = {"name": name}
        if attempts >= ATTEMPTS:
            entry["failed"] = "the process died %d times while it was measured" % attempts
        else:
            document["attempts"][name] = attempts + 1
            _save(document, output)
            try:
                run, _ = open_model(models[name])
                entry.update(measure(run, reference, document["expected_ms"]))
            except KeyboardInterrupt:
                document["attempts"].pop(name)
                _save(document, output)
                sys.exit("interrupted; what was measured is kept: run this again to go on")
            except Exception as error:  # one model that the runtime refuses does not cost the others
                entry["failed"] = ("%s: %s" % (type(error).__name__, error)).splitlines()[0][:300]
            run = None
        entry["time"] = int(time.time())
        document["attempts"].pop(name, None)
        earlier = [m for m in document["measurements"] if m["name"] == name and "failed" not in m]
        if "failed" in entry and earlier:
            _save(document, output)
            print("%s taken once more in vain, its first figure stays: %s" % (name, entry["failed"]), flush=True)
            continue
        document["measurements"] = [m for m in document["measurements"] if m["name"] != name] + [entry]
        if "failed" in entry:
            text = entry["failed"]
        else:
            spread = 100 * (entry["ratio_q75"] - entry["ratio_q25"]) / entry["ratio"]
            text = "%8.2f ms  spread %4.1f%%  reference %.2f ms" % (entry["raw_ms"], spread, entry["reference_ms"])
            slow = is_slow(entry["reference_ms"], document["expected_ms"])
            astray = astray + 1 if slow else 0
            text += "  (usually %.2f)" % document["expected_ms"] if slow else ""
            if astray >= PATIENCE or _is_fast(entry["reference_ms"], document["expected_ms"]):
                document["expected_ms"] = entry["reference_ms"]
        _save(document, output)
        count += 1
        done = len(document["measurements"])
        if name in document["repeated"]:
            print("%d/%d %s %s  (once more)" % (done, total, name, text), flush=True)
            continue
        left = (time.time() - began) / count * (total - done)
        print("%d/%d %s %s  %s left" % (done, total, name, text, _duration(left)), flush=True)
    measured = sum("failed" not in m for m in document["measurements"])
    print("%d of %d models measured, results in %s" % (measured, total, output), flush=True)


def _progress(output):
    """What tells whether a worker got anywhere."""
    if not os.path.exists(output):
        return None
    document = _read(output)
    return len(document["measurements"]), document["attempts"], document["repeated"]


def main(arguments=None):
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description="Measure the models of this folder; resumes where it stopped.")
    parser.add_argument("--folder", default=here, help="the pack (default: where this file is)")
    parser.add_argument("--runtime", choices=sorted(RUNTIMES), help="default: the one the pack was made for")
    parser.add_argument("--device", help="cpu, cuda, tensorrt or gpu (default: cpu)")
    parser.add_argument("--precision", choices=("FP32", "FP16", "INT8"))
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--output", help="default: results.json in the folder")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    manifest = _read(os.path.join(args.folder, "manifest.json"))
    if manifest.get("evoyolo_pack") != VERSION:
        sys.exit("manifest.json is of version %s, this file reads %d" % (manifest.get("evoyolo_pack"), VERSION))
    settings = dict(manifest["settings"])
    for name in settings:
        if getattr(args, name) is not None:
            settings[name] = getattr(args, name)
    settings["threads"] = settings["threads"] or os.cpu_count() or 1
    if (settings["precision"] == "INT8") != (manifest["settings"]["precision"] == "INT8"):
        sys.exit(
            "the files of this pack are made for %s; make another for %s"
            % (manifest["settings"]["precision"], settings["precision"])
        )
    if RUNTIMES[settings["runtime"]][1] not in manifest["formats"]:
        sys.exit(
            "this pack holds %s files, which %s does not read" % ("/".join(manifest["formats"]), settings["runtime"])
        )
    output = args.output or os.path.join(args.folder, RESULTS)
    if args.worker:
        try:
            work(args.folder, settings, output)
        except Unavailable as error:
            sys.exit(str(error))
        return 0
    # The worker is a process of its own: a runtime that crashes on one model takes only that model with it.
    command = [sys.executable, os.path.abspath(__file__), "--worker", "--folder", args.folder, "--output", output]
    for name, value in settings.items():
        command += ["--" + name, str(value)]
    while True:
        before = _progress(output)
        process = subprocess.Popen(command)
        try:
            code = process.wait()
        except KeyboardInterrupt:  # the worker has got it too: it saves and ends
            process.wait()
            return 130
        if code >= 0 and code != 3221225477:  # negative: killed by a signal; the other is Windows' access violation
            return code
        if _progress(output) == before:
            sys.exit("the runtime crashes (status %d) before it measures anything" % code)
        print("the runtime crashed (status %d); going on with the next" % code, flush=True)


if __name__ == "__main__":
    sys.exit(main())
