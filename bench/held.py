"""How long a proxy holds a request and its answer, from packet to packet, as the kernel stamped them.

What a client sees has in it whom the scheduler let run first on the core that clients and app share; this has not.
"""

import collections
import signal
import struct
import subprocess
import tempfile

from measure import OTHER_CORE, start

NANOSECOND_MAGIC = 0xA1B23C4D
ETHERNET, MARK = 14, len("GET /hello/0000000000")
Packet = collections.namedtuple("Packet", "time source target start")


def held(bench, port, rate, seconds):
    """Microseconds, sorted: one value for each request of an open loop."""
    with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
        # Only packets with bytes of their own.
        carries = "((ip[2:2] - ((ip[0] & 0xf) << 2)) - ((tcp[12] & 0xf0) >> 2)) != 0"
        command = ["tcpdump", "-i", "lo", "-n", "-s", "128", "-B", "32768", "--time-stamp-precision=nano", "-Z", "root", "-w", file.name,
                   f"tcp and (port {port} or port {bench.app.port}) and {carries}"]
        capture = start(command, OTHER_CORE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while "listening on" not in (line := capture.stderr.readline()):
            if not line:
                raise SystemExit("bench: tcpdump ended before it listened")
        bench.latency(port, rate, seconds)
        capture.send_signal(signal.SIGINT)
        report = capture.communicate(timeout=30)[1]
        if "\n0 packets dropped by kernel" not in report:
            raise SystemExit(f"bench: the capture is not whole: {report}")
        return sorted(exchanges(packets(file.read()), port, bench.app.port))


def packets(data):
    """Those of a capture, in their order."""
    if struct.unpack_from("<I", data)[0] != NANOSECOND_MAGIC:
        raise SystemExit("bench: not a capture in nanoseconds")
    at = 24
    while at < len(data):
        seconds, nanoseconds, length, _ = struct.unpack_from("<4I", data, at)
        frame = data[at + 16:at + 16 + length]
        at += 16 + length
        tcp = ETHERNET + (frame[ETHERNET] & 15) * 4
        source, target = struct.unpack_from(">2H", frame, tcp)
        content = tcp + (frame[tcp + 12] >> 4) * 4
        yield Packet(seconds * 1_000_000 + nanoseconds / 1000, source, target, frame[content:content + MARK])


def exchanges(found, proxy, app):
    """For each exchange the time from client to app and from app to client. A connection carries one at a time."""
    arrived, at_client, at_app, inwards, answered = {}, {}, {}, {}, {}
    for packet in found:
        if packet.start.startswith(b"GET /hello/"):
            if packet.target == proxy:
                arrived[packet.start], at_client[packet.source] = packet.time, packet.start
            elif packet.target == app:
                inwards[packet.start], at_app[packet.source] = packet.time - arrived[packet.start], packet.start
        elif packet.start.startswith(b"HTTP/1.1"):
            if packet.source == app and packet.target in at_app:
                answered[at_app[packet.target]] = packet.time
            elif packet.source == proxy:
                mark = at_client[packet.target]
                yield inwards[mark] + packet.time - answered[mark]
