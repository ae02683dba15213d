"""The proxies under test: how each is started, with one worker, its connections to the app kept, and no log."""

import os
import pathlib
import socket
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
OURS, AGAIN, DIRECT = "restart-sidecar", "restart-sidecar, again", "direct"
FLOOR, HAPROXY, QUEUE_PROXY = "byte relay", "haproxy", "queue-proxy"
# Configurations and what nginx writes; gone when this process ends.
FOLDER = tempfile.TemporaryDirectory(prefix="restart-controller-bench-")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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


def ours(name, binary):
    def command(port, app):
        return [binary, "run", "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{free_port()}",
                "--upstream", f"127.0.0.1:{app}", "--control-socket", f"bench-{port}", "--quiet-millis", "0",
                "--grace-seconds", "6", "--log", "off"]
    return Rival(name, command)


def relay(tool):
    return Rival(FLOOR, lambda port, app: [tool, "relay", "--listen", f"127.0.0.1:{port}", "--upstream", f"127.0.0.1:{app}"])


def haproxy():
    return Rival(HAPROXY, lambda port, app: ["haproxy", "-db", "-q", "-f", config("haproxy.cfg", port=port, app=app)])


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
    return [ours(OURS, binary), relay(tool), haproxy(), nginx(), reverse_proxy(cache), QueueProxy(cache), ours(AGAIN, binary)]
