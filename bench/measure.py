"""How the proxies are run and measured."""

import atexit
import contextlib
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time

import rivals

CORES = sorted(os.sched_getaffinity(0))
# The proxy alone on one core; clients and app on another. With one core all share it.
PROXY_CORE, OTHER_CORE = {CORES[0]}, {CORES[-1]}


# Bytes of the app's usual answer.
BODY = 100
# Priority of what is started while time is measured: on a machine that others use, -5 (as root) takes their part out.
PRIORITY = 0
STARTED = []


@atexit.register
def end_all():
    """Whatever happens, nothing of ours goes on running."""
    for process in STARTED:
        if process.poll() is None:
            process.kill()


def start(command, core, **options):
    """A process on one core, with enough descriptors."""
    def prepare():
        os.sched_setaffinity(0, core)
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard < 20_000 else 20_000, hard))
    STARTED.append(subprocess.Popen(command, preexec_fn=prepare, **options))
    return STARTED[-1]


def wait_for(port, process, seconds=60):
    """Returns when something listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise SystemExit(f"bench: {' '.join(process.args)} does not listen")


class Running:
    """A proxy (or the app) that serves."""

    def __init__(self, name, command, port, core=PROXY_CORE, environment=None):
        self.name, self.port = name, port
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        self.process = start(command, core, env=environment, **quiet)
        wait_for(port, self.process)

    def cpu(self):
        """Seconds on a processor so far, user and system, of all its threads."""
        spent = 0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                spent += int((task / "schedstat").read_text().split()[0])
        return spent / 1e9

    def memory(self):
        """Resident memory in KiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def stop(self):
        """Ends it, and answers what it wrote to its standard error."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.communicate(timeout=30)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.communicate()[1].decode(errors="replace")


class Bench:
    """The app, the clients, and what is measured with them."""

    def __init__(self, tool):
        self.tool = tool
        self.app = self.start_app(BODY)

    def start_app(self, answer):
        """An app that answers so many bytes."""
        port = rivals.free_port()
        command = [self.tool, "upstream", "--listen", f"127.0.0.1:{port}", "--socket", rivals.socket_of(port), "--answer", str(answer)]
        return Running("app", command, port, OTHER_CORE)

    def run(self, rival, prefix=(), app=None):
        """Starts `rival` in front of the app, or of another one."""
        port = rivals.free_port()
        command = [*prefix, *rival.command(port, (app or self.app).port)]
        return Running(rival.name, command, port, environment=rival.environment)

    def client(self, verb, port, *arguments):
        """Runs a client to its end and answers its output."""
        command = [self.tool, verb, "--target", f"127.0.0.1:{port}", *map(str, arguments)]
        process = start(command, OTHER_CORE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = process.communicate(timeout=180)
        if process.returncode:
            raise SystemExit(f"bench: {' '.join(command)}: {errors.decode()}")
        return output.decode()

    def saturate(self, port, requests, connections=32, answer=BODY):
        self.client("saturate", port, "--requests", requests, "--connections", connections, "--answer", answer)

    def cpu_per_request(self, running, requests, answer=BODY):
        """Microseconds at saturation."""
        before = running.cpu()
        self.saturate(running.port, requests, answer=answer)
        return (running.cpu() - before) * 1e6 / requests

    def latency(self, port, rate, seconds):
        """Median and 99th percentile in microseconds."""
        return [int(word) / 1000 for word in self.client("open-loop", port, "--rate", rate, "--seconds", seconds).split()]

    def memory(self, rival, connections):
        """KiB of a fresh process, and KiB more for each idle connection."""
        running = self.run(rival)
        time.sleep(1)
        fresh = running.memory()
        self.saturate(running.port, 320)
        # Connections to the app that are only kept are no part of an idle client's cost.
        command = [self.tool, "idle", "--target", f"127.0.0.1:{running.port}", "--connections", str(connections)]
        warm = running.memory()
        with start(command, OTHER_CORE, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as clients:
            if clients.stdout.readline() != b"open\n":
                raise SystemExit(f"bench: {rival.name} did not take {connections} connections")
            time.sleep(2)
            each = (running.memory() - warm) / connections
            clients.stdin.close()
        running.stop()
        return fresh, each

    def instructions(self, rival, fewer, more):
        """Instructions in user space per request: the slope between two numbers of requests."""
        counts = []
        for requests in (fewer, more):
            running = self.run(rival, ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"])
            self.saturate(running.port, requests)
            counts.append(int(re.search(r"Collected : (\d+)", running.stop())[1]))
        return (counts[1] - counts[0]) / (more - fewer)

    def syscalls(self, running, requests):
        """System calls per request, and the most frequent ones."""
        tracer = start(["strace", "-f", "-c", "-p", str(running.process.pid)], OTHER_CORE,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        tracer.stderr.readline()  # it has attached
        self.saturate(running.port, requests)
        tracer.send_signal(signal.SIGINT)
        lines = tracer.communicate(timeout=30)[1].decode().splitlines()
        calls = {}
        for line in lines:
            words = line.split()
            if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
                calls[words[-1]] = int(words[3]) / requests
        return calls
