"""The run over a pack: every model in a process that may crash, results saved after each, resumed where it stopped."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...runtimes import RUNTIMES, Session, Unavailable, open_session, runtime
from .machine import accelerator_name, default_threads, suiting_activations
from .protocol import PATIENCE, TIMED, Unstable, is_fast, is_slow, measure, reference_precision, usual_ms

VERSION = 1  # of manifest.json and of the results
MANIFEST, RESULTS = "manifest.json", "results.json"
SETTINGS = ("runtime", "device", "precision", "threads")
ATTEMPTS = 2  # of a model whose measurement killed the process
ACCESS_VIOLATION = 3221225477  # how a process that crashed ends on Windows


def checksum(document: Mapping[str, Any]) -> str:
    """The checksum of everything in a results document but the checksum itself."""
    content = {name: value for name, value in document.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except OSError as error:
        sys.exit(f"{path}: cannot be read ({error.strerror})")
    except (ValueError, RecursionError):
        sys.exit(f"{path}: not valid JSON; was it cut off? Move it away or copy it again")


def _first_line(error: Exception) -> str:
    return (f"{type(error).__name__}: {error}").splitlines()[0]


def _duration(seconds: float) -> str:
    return f"{int(seconds)} s" if seconds < 90 else f"{round(seconds / 60)} min"


class Work:
    """A pack being measured by one runtime: the manifest, and the results document that is saved after every model.

    Args:
        folder: of the pack.
        settings: runtime, device, precision and threads.
        output: the results file; what it holds already is not measured again.

    It ends the process with a message when the results are of another pack or of other settings.
    """

    def __init__(self, folder: str, settings: dict[str, Any], output: str) -> None:
        self.folder, self.settings, self.output = folder, settings, output
        self.manifest = _read(os.path.join(folder, MANIFEST))
        self.models = {model["name"]: model for model in self.manifest["models"]}
        self.document = self._resumed() if os.path.exists(output) else self._begun()

    def _begun(self) -> dict[str, Any]:
        copied = ("models", "reference", "num_classes", "space")
        return {
            "evoyolo_results": VERSION,
            "manifest": self.manifest["id"],
            **{name: self.manifest[name] for name in copied},
            **{name: self.manifest[name] for name in ("activations",) if name in self.manifest},
            "machine": accelerator_name(self.settings["device"]),
            "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            "batch": 1,
            "timed": TIMED,
            "measurements": [],
            "attempts": {},
            "repeated": [],
            **self.settings,
        }

    def _resumed(self) -> dict[str, Any]:
        document = _read(self.output)
        if document.get("checksum") != checksum(document):
            sys.exit(f"{self.output} was changed after it was measured; move it away to measure again")
        same = all(document.get(name) == self.settings[name] for name in SETTINGS)
        if document.get("manifest") != self.manifest["id"] or not same:
            sys.exit(f"{self.output} is of another pack or of other settings; move it away or name another --output")
        return document

    def _save(self) -> None:
        self.document["checksum"] = checksum(self.document)
        with open(self.output + ".tmp", "w") as stream:
            json.dump(self.document, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(self.output + ".tmp", self.output)
        with contextlib.suppress(OSError):  # a system that cannot open folders
            folder = os.open(os.path.dirname(os.path.abspath(self.output)), os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _open(self, model: Mapping[str, Any], precision: str) -> Session:
        name, device, threads = (self.settings[field] for field in ("runtime", "device", "threads"))
        path = os.path.join(self.folder, model["files"][runtime(name).kind])
        return open_session(name, path, (1, 3, *model["image_size"]), threads, device, precision)

    def _open_reference(self) -> Session:
        """The reference, measured alone: what it takes usually is known afterwards."""
        try:
            reference = self._open(self.manifest["reference"], reference_precision(self.settings["precision"]))
            now = usual_ms(reference)
        except Unavailable:
            raise
        except Exception as error:  # each runtime has its own way of failing
            sys.exit("the reference model cannot be run: " + _first_line(error))
        began = self.document.setdefault("version", reference.version)
        if began != reference.version:
            sys.exit(f"{self.output} was begun with {self.settings['runtime']} {began}, this is {reference.version}")
        self.document["expected_ms"] = min(now, self.document.get("expected_ms", now))
        return reference

    def _waiting(self) -> Iterator[str]:
        """Models without a result; then, once each, those that another state of the machine disturbed."""
        document = self.document
        results = {m["name"] for m in document["measurements"]}
        yield from (name for name in self.models if name not in results)
        for m in list(document["measurements"]):
            level = m.get("reference_ms", document["expected_ms"])
            unusual = is_slow(level, document["expected_ms"]) or is_fast(level, document["expected_ms"])
            unusual = unusual or m.get("failed", "").startswith(Unstable.__name__)
            if unusual and m["name"] not in document["repeated"]:
                document["repeated"].append(m["name"])
                yield m["name"]

    def _attempt(self, name: str, reference: Session) -> dict[str, Any]:
        """The figures of one model, or why there are none; an attempt is on record before the runtime may crash."""
        attempts = self.document["attempts"]
        entry: dict[str, Any] = {"name": name}
        if attempts.get(name, 0) >= ATTEMPTS:
            entry["failed"] = f"the process died {attempts[name]} times while it was measured"
        else:
            attempts[name] = attempts.get(name, 0) + 1
            self._save()
            try:
                session = self._open(self.models[name], self.settings["precision"])
                entry.update(measure(session, reference, self.document["expected_ms"]))
            except KeyboardInterrupt:
                attempts.pop(name)
                self._save()
                sys.exit("interrupted; what was measured is kept: run this again to go on")
            except Exception as error:  # one model that the runtime refuses does not cost the others
                entry["failed"] = _first_line(error)[:300]
        entry["time"] = int(time.time())
        attempts.pop(name, None)
        return entry

    def try_again(self) -> None:
        """Give what was too disturbed to be measured another chance: whoever runs this again may have a quieter machine."""
        failed = {m["name"] for m in self.document["measurements"] if m.get("failed", "").startswith(Unstable.__name__)}
        if failed:
            self.document["repeated"] = [name for name in self.document["repeated"] if name not in failed]
            self._save()

    def run(self) -> None:
        """Measure every model of the manifest that the results do not hold yet."""
        document, total, began, count, astray = self.document, len(self.models), time.time(), 0, 0
        reference = self._open_reference()
        for name in self._waiting():
            entry = self._attempt(name, reference)
            earlier = [m for m in document["measurements"] if m["name"] == name and "failed" not in m]
            if "failed" in entry and earlier:
                self._save()
                print(f"{name} taken once more in vain, its first figure stays: {entry['failed']}", flush=True)
                continue
            document["measurements"] = [m for m in document["measurements"] if m["name"] != name] + [entry]
            if "failed" in entry:
                text = entry["failed"]
            else:
                spread = 100 * (entry["ratio_q75"] - entry["ratio_q25"]) / entry["ratio"]
                text = f"{entry['raw_ms']:8.2f} ms  spread {spread:4.1f}%  reference {entry['reference_ms']:.2f} ms"
                slow = is_slow(entry["reference_ms"], document["expected_ms"])
                astray = astray + 1 if slow else 0
                text += f"  (usually {document['expected_ms']:.2f})" if slow else ""
                if astray >= PATIENCE or is_fast(entry["reference_ms"], document["expected_ms"]):
                    document["expected_ms"] = entry["reference_ms"]
            self._save()
            count += 1
            done = len(document["measurements"])
            left = f"{_duration((time.time() - began) / count * (total - done))} left"
            note = "(once more)" if name in document["repeated"] else left
            print(f"{done}/{total} {name} {text}  {note}", flush=True)
        measured = sum("failed" not in m for m in document["measurements"])
        print(f"{measured} of {total} models measured, results in {self.output}", flush=True)


def _progress(output: str) -> Any:
    """What tells whether a worker got anywhere."""
    if not os.path.exists(output):
        return None
    document = _read(output)
    return len(document["measurements"]), document["attempts"], document["repeated"]


def _supervise(command: Sequence[str], output: str) -> int:
    """Run the worker, again after a crash, until it ends by itself; its exit status.

    The worker is a process of its own: a runtime that crashes on one model takes only that model with it.
    """
    while True:
        before = _progress(output)
        process = subprocess.Popen(command)
        try:
            code = process.wait()
        except KeyboardInterrupt:  # the worker has got it too: it saves and ends
            process.wait()
            return 130
        if code >= 0 and code != ACCESS_VIOLATION:  # negative: killed by a signal
            return code
        if _progress(output) == before:
            sys.exit(f"the runtime crashes (status {code}) before it measures anything")
        print(f"the runtime crashed (status {code}); going on with the next", flush=True)


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """The pack's settings with those of the command line in their place; ends the process when they do not fit."""
    manifest = _read(os.path.join(args.folder, MANIFEST))
    if manifest.get("evoyolo_pack") != VERSION:
        sys.exit(f"manifest.json is of version {manifest.get('evoyolo_pack')}, this file reads {VERSION}")
    made_for = manifest["settings"]
    given = {name: getattr(args, name) for name in SETTINGS}
    settings = {name: made_for[name] if value is None else value for name, value in given.items()}
    settings["threads"] = settings["threads"] or default_threads()
    if (settings["precision"] == "INT8") != (made_for["precision"] == "INT8"):
        sys.exit(
            f"the files of this pack are made for {made_for['precision']}; make another for {settings['precision']}"
        )
    if runtime(settings["runtime"]).kind not in manifest["formats"]:
        held = "/".join(manifest["formats"])
        sys.exit(f"this pack holds {held} files, which {settings['runtime']} does not read")
    return settings


def _say_what_suits(folder: str, device: str) -> None:
    held = _read(os.path.join(folder, MANIFEST)).get("activations")
    suits = suiting_activations(device)
    if held not in (None, suits):
        print(
            f"the INT8 files of this pack have {held} activations; what suits this processor, and is faster or more accurate "
            f"on it, is made by `evoyolo device pack --precision INT8 --activations {suits}`",
            flush=True,
        )


def main(program: str, arguments: Sequence[str] | None = None) -> int:
    """Measure the models of a pack; the exit status.

    Args:
        program: the file that Python was started with and starts the worker with; the pack is the folder it is in.
        arguments: of the command line; None takes sys.argv's.
    """
    parser = argparse.ArgumentParser(description="Measure the models of this folder; resumes where it stopped.")
    parser.add_argument("--folder", default=os.path.dirname(program), help="the pack (default: where this file is)")
    parser.add_argument("--runtime", choices=sorted(RUNTIMES), help="default: the one the pack was made for")
    devices = list(dict.fromkeys(device for each in RUNTIMES.values() for device in each.devices))
    parser.add_argument("--device", help=f"{', '.join(devices)} (default: the one the pack was made for)")
    parser.add_argument("--precision", choices=("FP32", "FP16", "INT8"))
    parser.add_argument("--threads", type=int, help="default: all cores that this process may use")
    parser.add_argument("--output", help="default: results.json in the folder")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    output = args.output or os.path.join(args.folder, RESULTS)
    try:
        settings = _settings(args)
        if args.worker:
            _say_what_suits(args.folder, settings["device"])
            Work(args.folder, settings, output).run()
            return 0
    except Unavailable as error:
        sys.exit(str(error))
    if os.path.exists(output):
        Work(args.folder, settings, output).try_again()
    command = [sys.executable, program, "--worker", "--folder", args.folder, "--output", output]
    for name, value in settings.items():
        command += ["--" + name, str(value)]
    return _supervise(command, output)
