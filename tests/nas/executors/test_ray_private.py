"""What Ray does not promise: named where it is too old, left out where it is gone."""

import os
import sys

import pytest

from nas.executors.ray_private import (
    EARLIEST,
    ENVIRONMENT,
    LOOPBACK,
    TESTED,
    check_version,
    set_environment,
    trial_error,
    without_logs_of_the_dead,
    without_usage_process,
)
from search_spaces import InputError


def test_versions_of_ray():
    import ray

    assert check_version(".".join(map(str, TESTED)) + ".1") is None
    assert check_version(ray.__version__) is None  # which is what these tests run with
    assert "is newer than what this was tested with" in check_version(f"{TESTED[0]}.{TESTED[1] + 1}.0")
    with pytest.raises(InputError, match=r"Ray 2\.9\.3 is too old; install 2\.40 or later"):
        check_version("2.9.3")
    assert EARLIEST <= TESTED


def test_what_the_user_has_set_in_the_environment_stays(monkeypatch):
    for name in (*ENVIRONMENT, *LOOPBACK):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    set_environment()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1" and os.environ["TUNE_DISABLE_SIGINT_HANDLER"] == "1"
    assert not set(LOOPBACK) & set(os.environ)
    set_environment(local=True)
    assert set(LOOPBACK) <= set(os.environ)
    for name in (*ENVIRONMENT, *LOOPBACK):
        monkeypatch.setenv(name, os.environ[name])  # so that what was set here is taken back


def test_logs_of_dead_nodes_are_kept_back_and_come_back(monkeypatch):
    from ray._private import worker

    printing = worker.print_to_stdstream
    with without_logs_of_the_dead():
        assert worker.print_to_stdstream is not printing
    assert worker.print_to_stdstream is printing
    monkeypatch.delattr(worker, "print_to_stdstream")
    with without_logs_of_the_dead():  # as with a Ray that has no such function
        assert not hasattr(worker, "print_to_stdstream")
    monkeypatch.setitem(sys.modules, "ray._private", None)
    with without_logs_of_the_dead():
        pass


def test_only_the_process_that_nobody_asked_for_is_left_out(monkeypatch):
    from ray._private import services

    def start(include_dashboard, *arguments, **options):
        return "started", arguments

    monkeypatch.setattr(services, "start_api_server", start)
    with without_usage_process():
        assert services.start_api_server(False, 1) == (None, None)
        assert services.start_api_server(None, 1) == services.start_api_server(True, 1) == ("started", (1,))
    assert services.start_api_server is start
    monkeypatch.delattr(services, "start_api_server")
    with without_usage_process():  # as with a Ray that has no such function
        assert not hasattr(services, "start_api_server")


def test_why_a_trial_ended_is_read_where_there_is_a_file(tmp_path):
    class Trial:
        error_file = None

    assert trial_error(Trial()) == "" == trial_error(object())
    Trial.error_file = tmp_path / "error.txt"
    Trial.error_file.write_text("Failure # 1 (occurred at noon)\nThe actor died\n")
    assert trial_error(Trial()) == "The actor died\n"
