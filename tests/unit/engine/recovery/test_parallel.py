import os
import time

from engine.errors import Conflict, Unavailable
from engine.recovery import parallel
from engine.recovery.parallel import Failure, Job
from tests.conftest import loaded


def note(file, text):
    with open(file, "a") as lines:
        lines.write(f"{text}\n")


def fail(error):
    raise error


def test_jobs_run_after_the_jobs_they_need_and_failures_are_reported(tmp_path, capfd):
    seen = tmp_path / "seen"
    jobs = [
        Job("last", lambda: note(seen, "last"), after=("middle", "unknown")),
        Job("middle", lambda: (time.sleep(0.1), note(seen, "middle")), after=("first",)),
        Job("first", lambda: fail(Conflict("it is taken"))),
        Job("away", lambda: fail(Unavailable("the store is away"))),
        Job("behind", lambda: note(seen, "behind"), after=("away",)),
        Job("killed", lambda: os.kill(os.getpid(), 9)),
        Job("broken", lambda: 1 / 0),
        Job("circle", lambda: note(seen, "circle"), after=("circle too",)),
        Job("circle too", lambda: note(seen, "circle"), after=("circle",)),
    ]
    failed = parallel.run(jobs, width=2)
    words = seen.read_text().split()
    assert [word for word in words if word != "circle"] == ["middle", "last"]
    assert words.count("circle") == 2
    assert failed.pop("first") == Failure("it is taken")
    assert failed.pop("away") == failed.pop("behind") == Failure("the store is away", may_pass=True)
    assert set(failed) == {"killed", "broken"}
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_no_more_jobs_run_at_a_time_than_allowed(tmp_path):
    def work():
        (tmp_path / str(os.getpid())).touch()
        assert len(list(tmp_path.iterdir())) <= 3
        time.sleep(0.02)
        (tmp_path / str(os.getpid())).unlink()

    assert parallel.run([Job(str(number), work) for number in range(12)], width=3) == {}


def test_a_job_may_leave_a_process_behind():
    began = time.monotonic()
    assert parallel.run([Job("one", lambda: os.fork() or os.execv("/bin/sleep", ["sleep", "2"]))]) == {}
    assert time.monotonic() - began < loaded(1)
