"""What processes that outlive the agent have written."""

from engine.cluster import processes


def log_of(run, text):
    file = processes.run_directory(run) / "etcd.log"
    file.write_text(text)
    return file


def test_the_last_words_are_for_people(tmp_path):
    log_of(
        tmp_path, '{"level":"warn","msg":"first"}\n{"level":"fatal","msg":"discovery failed","error":"no such thing"}\n'
    )
    assert processes.last_words(tmp_path, "etcd") == "no such thing"
    log_of(tmp_path, '{"level":"fatal","msg":"discovery failed"}\n')
    assert processes.last_words(tmp_path, "etcd") == "discovery failed"
    log_of(tmp_path, "Traceback\nKeyError: 'x'\n")
    assert processes.last_words(tmp_path, "etcd") == "KeyError: 'x'"
    assert processes.last_words(tmp_path, "other") == ""


def test_a_log_that_has_grown_long_begins_anew_and_is_written_on(tmp_path):
    file = log_of(tmp_path, "x" * processes.LONG_LOG)
    with file.open("a") as writer:
        processes.trim_logs(tmp_path)
        writer.write("more")
        writer.flush()
        assert file.stat().st_size == processes.LONG_LOG + 4
        processes.trim_logs(tmp_path)
        writer.write("again")
    assert file.read_text() == "again"
