"""Many processes use one store at the same time, and processes are killed. The store is a real file."""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from ipaddress import ip_network

import pytest

from engine.ipam import bounds, lowest_free
from engine.model import EndpointRecord, NetworkRecord, PortRecord
from engine.store.api import Taken
from engine.store.sqlite import SqliteStore
from tests.conftest import loaded

SUBNET = ip_network("10.0.0.0/16")
POOL = f"n/{SUBNET}"
WRITERS, ROUNDS = 30, 5


@pytest.fixture
def store(tmp_path):
    return SqliteStore(tmp_path / "root" / "hawse.db")


def spawn(work) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def network(name):
    return NetworkRecord(id=name, name=name, created="", driver="bridge")


def reserve_lowest(tx, holder):
    tx.reserve_address(POOL, int(lowest_free(SUBNET, tx.addresses(POOL))), holder)


def test_thirty_processes_create_and_write_one_store_at_once(store):
    def work():
        for number in range(ROUNDS):
            holder = f"{os.getpid()}-{number}"
            with store.write() as tx:
                reserve_lowest(tx, holder)
                tx.put_endpoint(EndpointRecord(holder, "n", "c", ""))
        try:
            with store.write() as tx:
                tx.put_network(NetworkRecord(id=holder, name="contended", created="", driver="bridge"))
        except Taken:
            pass

    children = [spawn(work) for _ in range(WRITERS)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * WRITERS
    first = bounds(SUBNET)[0] + 1
    with store.read() as snapshot:
        assert snapshot.addresses(POOL) == list(range(first, first + WRITERS * ROUNDS))
        assert len(snapshot.endpoints()) == WRITERS * ROUNDS
        assert len(snapshot.networks()) == 1


def test_one_host_port_wanted_by_ten_goes_to_one(store):
    def work():
        record = EndpointRecord(str(os.getpid()), "n", "c", "", ports=(PortRecord("tcp", "0.0.0.0", 80, 80, 80, 80),))
        try:
            with store.write() as tx:
                tx.put_endpoint(record)
        except Taken:
            os._exit(7)

    children = [spawn(work) for _ in range(10)]
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes == [0] + [7] * 9


def test_a_writer_killed_in_its_transaction_changes_nothing_and_blocks_no_other_writer(store):
    reader, writer = os.pipe()

    def work():
        with store.write() as tx:
            tx.put_network(network("half"))
            reserve_lowest(tx, "half")
            os.write(writer, b".")
            time.sleep(60)

    child = spawn(work)
    os.read(reader, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    began = time.monotonic()
    with store.write() as tx:
        assert tx.networks() == [] and tx.addresses(POOL) == []
        tx.put_network(network("whole"))
    assert time.monotonic() - began < loaded(2)


def test_kills_at_any_moment_never_split_a_transaction(store):
    """Each transaction adds a network and the network's address. After a kill, the store has both or neither.

    The store also keeps each transaction that the killed process has reported as done.
    """
    acknowledged, dice = 0, random.Random(7)
    for _ in range(12):
        reader, writer = os.pipe()

        def work(writer=writer):
            for number in range(10_000):
                with store.write() as tx:
                    name = f"{os.getpid()}-{number}"
                    tx.put_network(network(name))
                    reserve_lowest(tx, name)
                os.write(writer, b".")

        child = spawn(work)
        os.close(writer)
        acknowledged += len(os.read(reader, 1))
        time.sleep(dice.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reader, "rb") as rest:
            acknowledged += len(rest.read())
        with store.read() as snapshot:
            networks = len(snapshot.networks())
            assert networks == len(snapshot.addresses(POOL))
            assert networks >= acknowledged


def test_a_store_object_works_in_parent_and_child_after_a_fork(store):
    commit(store, "before")
    child = spawn(lambda: commit(store, "child"))
    commit(store, "parent")
    assert os.waitpid(child, 0)[1] == 0
    with store.read() as snapshot:
        assert sorted(n.name for n in snapshot.networks()) == ["before", "child", "parent"]


def commit(store, name):
    with store.write() as tx:
        tx.put_network(network(name))
