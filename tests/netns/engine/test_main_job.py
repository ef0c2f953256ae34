"""The test runs the example session of the README with real kernel objects."""

import json

import pytest

pytestmark = pytest.mark.netns
SERVER = ("busybox", "httpd", "-f", "-p", "80", "-h", "/etc")


def fetch(where, url):
    return where.run("busybox", "wget", "-T2", "-qO-", url, check=False)


def wait_for(where, url, tries=50):
    import time

    for _ in range(tries):
        if (answer := fetch(where, url)).returncode == 0:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer: {answer.stderr}")


def test_networks_names_ports_and_inspect(host):
    labelled = ("--subnet", "172.30.0.0/16", "--label", "tier=web")
    network = host.hawse("network", "create", *labelled, "app").stdout.strip()
    web = host.hawse(
        "run", "-d", "--name", "web", "--network", "app", "-p", "8080:80", "hostfs", *SERVER
    ).stdout.strip()
    db = host.hawse("run", "-d", "--name", "db", "hostfs", "sleep", "1d").stdout.strip()
    assert len(network) == len(web) == len(db) == 64
    host.hawse("network", "connect", "--alias", "store", "app", "db")

    assert "1 packets received" in host.hawse("exec", "db", "busybox", "ping", "-c1", "-W2", "web").stdout
    assert "1 packets received" in host.hawse("exec", "web", "busybox", "ping", "-c1", "-W2", "store").stdout
    assert "localhost" in wait_for(host, "http://127.0.0.1:8080/hosts").stdout
    assert "localhost" in wait_for(host.peer, f"http://{host.address}:8080/hosts").stdout
    assert host.hawse("port", "web").stdout == "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n"

    document = json.loads(host.hawse("network", "inspect", "app").stdout)[0]
    assert document["Labels"] == {"tier": "web"}
    members = {c["Name"]: c["IPv4Address"] for c in document["Containers"].values()}
    assert members == {"web": "172.30.0.2/16", "db": "172.30.0.3/16"}

    host.hawse("network", "disconnect", "app", "db")
    assert host.hawse("rm", "-f", "web", "db").stdout == "web\ndb\n"
    assert host.hawse("network", "rm", "app").stdout == "app\n"
    assert host.hawse("ps", "-aq").stdout == ""


def test_a_container_outlives_the_command_and_keeps_its_exit_code_and_log(host):
    host.hawse("run", "-d", "--name", "c1", "hostfs", "sh", "-c", "echo out; echo err >&2; sleep 0.3; exit 7")
    assert host.hawse("wait", "c1").stdout == "7\n"
    logs = host.hawse("logs", "c1")
    assert (logs.stdout, logs.stderr) == ("out\n", "err\n")
    state = json.loads(host.hawse("inspect", "c1").stdout)[0]["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 7)


def test_foreground_runs_give_the_exit_code_of_their_command(host):
    assert host.hawse("run", "--rm", "hostfs", "sh", "-c", "exit 3", check=False).returncode == 3
    assert host.hawse("run", "--rm", "hostfs", "cat", "/etc/hostname").stdout.strip().isalnum()
    assert host.hawse("run", "--rm", "-i", "hostfs", "cat", input="through\n").stdout == "through\n"
    assert host.hawse("ps", "-aq").stdout == ""


def test_restart_policy_starts_it_again_until_the_user_stops_it(host):
    import time

    host.hawse("run", "-d", "--name", "again", "--restart", "always", "hostfs", "sh", "-c", "sleep 0.2; exit 1")
    for _ in range(100):
        count = json.loads(host.hawse("inspect", "again").stdout)[0]["RestartCount"]
        if count >= 2:
            break
        time.sleep(0.2)
    assert count >= 2
    host.hawse("stop", "-t", "1", "again")
    time.sleep(1)
    assert json.loads(host.hawse("inspect", "again").stdout)[0]["State"]["Status"] == "exited"


def test_published_ports_change_while_the_container_runs(host):
    host.hawse("network", "create", "app")
    host.hawse("run", "-d", "--name", "web", "--network", "app", "hostfs", *SERVER)
    host.hawse("publish", "web", "-p", "8081:80")
    wait_for(host.peer, f"http://{host.address}:8081/hosts")
    host.hawse("restart", "-t", "0", "web")
    wait_for(host.peer, f"http://{host.address}:8081/hosts")
    host.hawse("unpublish", "web", "80/tcp")
    assert fetch(host.peer, f"http://{host.address}:8081/hosts").returncode != 0
    assert host.hawse("port", "web").stdout == ""


def test_a_legacy_link_reaches_exposed_ports_where_containers_are_kept_apart(host, tmp_path):
    config = tmp_path / "daemon.json"
    config.write_text('{"icc": false}')
    env, sleep = {"HAWSE_CONFIG": str(config)}, ("sleep", "1d")
    host.hawse("run", "-d", "--name", "db", "--expose", "80", "hostfs", *SERVER, env=env)
    host.hawse("run", "-d", "--name", "app", "--link", "db:store", "--link", "db:x", "hostfs", *sleep, env=env)
    host.hawse("run", "-d", "--name", "other", "hostfs", "sleep", "1d", env=env)
    get = ("busybox", "wget", "-T2", "-qO-")
    assert "localhost" in host.hawse("exec", "app", *get, "http://store/hosts", env=env).stdout
    host.hawse("exec", "-d", "db", "busybox", "httpd", "-f", "-p", "81", "-h", "/etc", env=env)
    host.hawse("publish", "db", "8181:81", env=env)
    assert "localhost" in host.hawse("exec", "app", *get, "http://store:81/hosts", env=env).stdout
    address = host.hawse("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "db", env=env).stdout.strip()
    assert host.hawse("exec", "other", *get, f"http://{address}/hosts", check=False, env=env).returncode != 0
    host.hawse("rm", "--link", "app/x", env=env)
    assert "localhost" in host.hawse("exec", "app", *get, "http://store/hosts", env=env).stdout
    host.hawse("rm", "--link", "app/store", env=env)
    assert host.hawse("exec", "app", *get, f"http://{address}/hosts", check=False, env=env).returncode != 0
    host.hawse("rm", "-f", "app", env=env)
    host.hawse("run", "-d", "--name", "next", "hostfs", "sleep", "1d", env=env)
    assert host.hawse("exec", "next", *get, f"http://{address}/hosts", check=False, env=env).returncode != 0
