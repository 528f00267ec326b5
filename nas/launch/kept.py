"""The settings and device profiles that a run keeps beside its store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from evaluators.data import absolute_source
from evaluators.latency.profile import DeviceProfile
from search_spaces import InputError
from search_spaces.files import read_text

from ..storage.folder import RunFolder
from ..storage.run import Run
from ..storage.states import State
from ..storage.written import Written
from .config import SearchConfig, commented_yaml, load_config

ELSEWHERE = ("name", "directory", "device")  # settings that say where things are, which a run's folder does by itself


@contextlib.contextmanager
def settings_kept(config: SearchConfig, profiles: Sequence[DeviceProfile]) -> Iterator[None]:
    """Keep search.yaml and the profiles in the run's folder, unless what follows is refused.

    Of a search that is refused, or interrupted before it has a store, what was written here goes again.

    Raises:
        InputError: a file that the run is going to write is there, and is somebody else's.
    """
    folder = RunFolder(config.run_directory)
    written = Written(folder)
    folder.check()

    def asked() -> int:
        return sum(event.state == State.ASKED for event in Run(folder.path).events) if folder.exists else 0

    asked_before, is_new, was_recorded = asked(), not folder.exists, folder.written.exists()
    # what the run's latencies mean must not change with a file elsewhere
    texts = {folder.device(profile.name): profile.to_json() for profile in profiles}
    is_inits = is_new and folder.config.exists() and read_text(folder.config) == commented_yaml()
    if _has_to_be_written(folder, config, is_inits or written.is_ours(folder.config)):
        texts[folder.config] = commented_yaml(config)
    before = {path: read_text(path) if path.exists() else None for path in texts}
    texts = {path: text for path, text in texts.items() if text != before[path]}
    expected = [path for path in texts if not (is_inits and path == folder.config)]
    written.check(*expected, folder.front_json, folder.front_csv, folder.front_png)
    made = [path for path in (folder.path.parent, folder.path, folder.devices) if not path.exists()]
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        if is_new:
            written.begin()
            if is_inits:
                written.adopt(folder.config)
        for path, text in texts.items():
            path.parent.mkdir(exist_ok=True)
            written.write_text(path, text)
        yield
    except (KeyboardInterrupt, InputError) as ending:
        if folder.exists and isinstance(ending, KeyboardInterrupt):
            raise
        if asked() > asked_before:  # it was not refused: what was evaluated was so by these settings
            raise
        for path in texts:
            if (earlier := before[path]) is not None:
                if read_text(path) != earlier:
                    written.write_text(path, earlier)
            elif not folder.exists:
                written.remove(path)
        if not folder.exists and not was_recorded:
            written.end()
        for empty in reversed(made):
            with contextlib.suppress(OSError):  # not empty: something else is in it by now
                empty.rmdir()
        raise


def _has_to_be_written(folder: RunFolder, config: SearchConfig, is_ours: bool) -> bool:
    """Whether the folder's search.yaml has to be written, anew or with other settings.

    The user's own file, with its comments, may be what a run is started from in its own folder; it stays as it is. So does
    one that they have changed since: options of a run that is resumed hold for that time.

    Args:
        is_ours: whether it is as we wrote it.

    Raises:
        InputError: it is the user's own, and says something else than a new run is to be made with.
    """
    if not folder.config.exists():
        return True
    wanted = config.to_dict()
    says = load_config(folder.config, **{name: wanted[name] for name in ELSEWHERE}).to_dict()
    differing = {name: value for name, value in wanted.items() if says[name] != value}
    if is_ours or folder.exists:
        return is_ours and bool(differing)
    if "data" in differing and _same_data(says["data"], differing["data"]):
        del differing["data"]
    if not differing:
        return False
    raise InputError(
        f"{folder.config} is not as this run wrote it, and says other settings; put there "
        f"{', '.join(f'{name}: {value}' for name, value in differing.items())}, or name another folder for the run"
    )


def _same_data(text: str, source: str) -> bool:
    """Whether what a user has written names, from here, the dataset that has the absolute name `source`."""
    with contextlib.suppress(InputError):
        return absolute_source(text) == source
    return False
