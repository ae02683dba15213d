"""The proxies under test: how each is started, with one worker, its connections to the app kept, and no log."""

import contextlib
import os
import pathlib
import random
import socket
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
OURS, AGAIN, SOCKET, BYTES = "restart-sidecar", "restart-sidecar, again", "restart-sidecar, Unix socket", "restart-sidecar, mode tcp"
FLOOR, HAPROXY, SPLICING, QUEUE_PROXY = "byte relay", "haproxy", "haproxy, splice-auto", "queue-proxy"
# Configurations and what nginx writes; gone when this process ends.
FOLDER = tempfile.TemporaryDirectory(prefix="restart-controller-bench-")


def free_port():
    """One below those that the kernel gives to outgoing connections, which could take it before it is listened on."""
    while True:
        port = random.randrange(10_000, 30_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


class Rival:
    """A proxy: its name, and the command that serves `port` from the app at `app`."""

    def __init__(self, name, command, environment=None, valgrind=True):
        self.name, self.command, self.valgrind = name, command, valgrind
        self.environment = dict(os.environ, **(environment or {}))


def config(template, **values):
    """A configuration file from its template beside this file."""
    text = (HERE / "rivals" / template).read_text()
    for key, value in values.items():
        text = text.replace("{" + key + "}", str(value))
    path = pathlib.Path(tempfile.mkdtemp(dir=FOLDER.name), template)
    path.write_text(text)
    return str(path)


def socket_of(app):
    """The path on which the app at this port listens, too."""
    return f"{FOLDER.name}/app-{app}"


def ours(name, binary, more=(), upstream=lambda app: f"127.0.0.1:{app}"):
    def command(port, app):
        return [binary, "run", "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{free_port()}",
                "--upstream", upstream(app), "--control-socket", f"bench-{port}", "--quiet-millis", "0",
                "--grace-seconds", "6", "--threads", "1", "--log", "off", *more]
    return Rival(name, command)


def over_socket(binary):
    return ours(SOCKET, binary, upstream=lambda app: f"unix:{socket_of(app)}")


def in_tcp_mode(binary):
    return ours(BYTES, binary, ["--mode", "tcp"])


def relay(tool):
    return Rival(FLOOR, lambda port, app: [tool, "relay", "--listen", f"127.0.0.1:{port}", "--upstream", f"127.0.0.1:{app}"])


def haproxy(name=HAPROXY, option=""):
    return Rival(name, lambda port, app: ["haproxy", "-db", "-q", "-f", config("haproxy.cfg", port=port, app=app, option=option)])


def nginx():
    def command(port, app):
        home = tempfile.mkdtemp(dir=FOLDER.name)
        return ["nginx", "-e", "/dev/null", "-p", home, "-c", config("nginx.conf", port=port, app=app, home=home)]
    return Rival("nginx", command)


def reverse_proxy(cache):
    return Rival("Go ReverseProxy", lambda port, app: [f"{cache}/reverse-proxy", f"127.0.0.1:{port}", f"127.0.0.1:{app}"],
                 {"GOMAXPROCS": "1"}, valgrind=False)


class QueueProxy(Rival):
    """Knative's sidecar, which takes everything from its environment; its ports are fixed but for two."""

    def __init__(self, cache):
        super().__init__(QUEUE_PROXY, self.start, {"GOMAXPROCS": "1"}, valgrind=False)
        self.cache = cache

    def start(self, port, app):
        probe = '{"tcpSocket":{"port":%d,"host":"127.0.0.1"},"successThreshold":1}' % app
        logging = '{"level":"error","outputPaths":["stderr"],"errorOutputPaths":["stderr"],"encoding":"json"}'
        self.environment.update({
            "CONTAINER_CONCURRENCY": "0", "QUEUE_SERVING_PORT": str(port), "QUEUE_SERVING_TLS_PORT": str(free_port()),
            "USER_PORT": str(app), "REVISION_TIMEOUT_SECONDS": "300", "SERVING_NAMESPACE": "bench", "SERVING_REVISION": "app-1",
            "SERVING_CONFIGURATION": "app", "SERVING_POD": "app-1-pod", "SERVING_POD_IP": "127.0.0.1", "SERVING_SERVICE": "app",
            "SERVING_LOGGING_LEVEL": "error", "SERVING_LOGGING_CONFIG": logging, "SERVING_READINESS_PROBE": probe,
            "METRICS_DOMAIN": "knative.dev/serving", "SYSTEM_NAMESPACE": "knative-serving",
        })
        return [f"{self.cache}/queue-proxy"]


def all_rivals(binary, tool, cache):
    """Ours twice (the A/A pair: their difference is the noise), and the others."""
    return [ours(OURS, binary), relay(tool), haproxy(), over_socket(binary), nginx(), in_tcp_mode(binary), reverse_proxy(cache),
            QueueProxy(cache), ours(AGAIN, binary)]


def for_long_bodies(binary, tool):
    """Those that are measured with long answers as well."""
    return [ours(OURS, binary), relay(tool), haproxy(), over_socket(binary), haproxy(SPLICING, "option splice-auto"), nginx(), ours(AGAIN, binary)]
