"""Measure, inside a container, how long after MOMENT a name resolves and an address answers.

Each input line is ``NAME ADDRESS MOMENT``. The program asks the resolver and pings every few milliseconds until both
answer. The program prints two times in milliseconds after MOMENT: when the name first resolved, and when the address
first answered. MOMENT is a time of the machine's monotonic clock.
"""

import socket
import struct
import sys
import time

import dns.message
import dns.query

PAUSE, PATIENCE = 0.005, 10.0


def knows(name, address):
    """Return whether the container's DNS resolver answers a query for the name with this address."""
    question = dns.message.make_query(name, "A")
    answer = dns.query.udp(question, "127.0.0.11", timeout=1)
    return any(str(item) == address for part in answer.answer for item in part)


def pings(opened, address):
    """Send one echo request, and return whether the address has answered this request or an earlier one."""
    opened.sendto(echo_request(), (address, 0))
    try:
        while True:
            if opened.recvfrom(2048)[1][0] == address:
                return True
    except TimeoutError:
        return False


def echo_request():
    """Return an ICMP echo request (RFC 792)."""
    body = struct.pack("!BBHHH", 8, 0, 0, 7, 7)
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    return struct.pack("!BBHHH", 8, 0, ~(total + (total >> 16)) & 0xFFFF, 7, 7)


def first(check):
    """Call ``check`` until it returns true, and return the time. Return infinity after `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if check():
            return time.monotonic()
        time.sleep(PAUSE)
    return float("inf")


def main():
    opened = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    opened.settimeout(PAUSE)
    print("ready", flush=True)
    for line in sys.stdin:
        name, address, moment = line.split()
        pinged = first(lambda a=address: pings(opened, a))
        known = first(lambda n=name, a=address: knows(n, a))
        print(*(round((at - float(moment)) * 1000, 1) for at in (known, pinged)), flush=True)


if __name__ == "__main__":
    main()
