"""A gateway or a few, a Collector and a Prometheus, on loopback: found or built, started, stopped."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).parents[1]
# Longer than anything here takes to be there.
PATIENCE = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url, timeout=20):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read()


def get_json(url):
    return json.loads(get(url))


def until(what, holds, patience=PATIENCE):
    """Waits until `holds()` gives something, and gives that."""
    end = time.monotonic() + patience
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            if found := holds():
                return found
        if time.monotonic() > end:
            raise TimeoutError(f"waited {patience} s until {what}")
        time.sleep(0.2)


def built(script):
    """What a script in `tests/outside` prints: the path of what it found or built."""
    command = [ROOT / "tests" / "outside" / script / "build.sh"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return pathlib.Path(output.stdout.strip())


def build_gateway():
    command = ["cargo", "build", "--quiet", "--release", "--example", "gateway"]
    subprocess.run(command, check=True, cwd=ROOT)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "examples" / "gateway"


class Process:
    """A program that was started, with its output in a file."""

    def __init__(self, name, command, folder, **variables):
        self.name = name
        self.log = folder / f"{name}.log"
        environment = {**os.environ, **variables}
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder,
            )

    def check(self):
        if self.child.poll() is not None:
            raise RuntimeError(f"{self.name} ended: {self.log.read_text()[-2000:]}")

    def stop(self, by=signal.SIGTERM, patience=15):
        if self.child.poll() is None:
            self.child.send_signal(by)
            try:
                self.child.wait(patience)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Ports:
    """Where everything listens: the usual ports, or free ones."""

    USUAL = {
        "prometheus": 9090,
        "otlp_grpc": 4317,
        "otlp_http": 4318,
        "exporter": 8889,
        "health": 13133,
        "collector_metrics": 8888,
    }

    def __init__(self, free):
        for name, usual in self.USUAL.items():
            setattr(self, name, free_port() if free else usual)


class Stack:
    """All of it, in a folder of its own, until the `with` ends."""

    def __init__(self, *, free_ports, collector, prometheus, gateway):
        self.programs = {"collector": collector, "prometheus": prometheus, "gateway": gateway}
        self.ports = Ports(free_ports)
        self.running = []

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="gateway-stack-")
        self.folder = pathlib.Path(self.temporary.name)
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.stop()
        self.temporary.cleanup()

    def start(self, name, command, **variables):
        process = Process(name, command, self.folder, **variables)
        self.running.append(process)
        return process

    @property
    def prometheus(self):
        return f"http://127.0.0.1:{self.ports.prometheus}"

    @property
    def otlp_http(self):
        return f"http://127.0.0.1:{self.ports.otlp_http}"

    @property
    def otlp_grpc(self):
        return f"http://127.0.0.1:{self.ports.otlp_grpc}"

    def start_prometheus(self, gateways):
        """One that scrapes gateways at these addresses, and takes OTLP."""
        usual = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text()
        for address, instead in [
            ("127.0.0.1:9464", ", ".join(gateways)),
            ("127.0.0.1:8889", f"127.0.0.1:{self.ports.exporter}"),
            ("127.0.0.1:8888", f"127.0.0.1:{self.ports.collector_metrics}"),
            ("- rules-classic.yml", f"- {ROOT / 'deploy' / 'prometheus' / 'rules-native.yml'}"),
            # Here the Collector pushes the same on: it stays a job of its own.
            ("honor_labels: true", "honor_labels: false"),
        ]:
            assert address in usual, address
            usual = usual.replace(address, instead)
        config = self.folder / "prometheus.yml"
        config.write_text(usual)
        process = self.start(
            "prometheus",
            [
                self.programs["prometheus"] / "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={self.folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{self.ports.prometheus}",
                "--web.enable-otlp-receiver",
            ],
        )
        until("Prometheus is ready", lambda: process.check() or get(f"{self.prometheus}/-/ready"))
        return process

    def collector_variables(self, **more):
        """Those of `otel-collector.yaml`."""
        local = "127.0.0.1"
        return {
            "OTLP_GRPC_ENDPOINT": f"{local}:{self.ports.otlp_grpc}",
            "OTLP_HTTP_ENDPOINT": f"{local}:{self.ports.otlp_http}",
            "PROMETHEUS_EXPORTER_ENDPOINT": f"{local}:{self.ports.exporter}",
            "HEALTH_CHECK_ENDPOINT": f"{local}:{self.ports.health}",
            "COLLECTOR_METRICS_PORT": str(self.ports.collector_metrics),
            "PROMETHEUS_OTLP_ENDPOINT": f"{self.prometheus}/api/v1/otlp",
            "METRICS_EXPORTERS": "[prometheus, otlp_http/prometheus]",
            **more,
        }

    def start_collector(self, **more):
        config = ROOT / "otel-collector.yaml"
        process = self.start(
            "collector",
            [self.programs["collector"], "--config", config],
            **self.collector_variables(**more),
        )
        health = f"http://127.0.0.1:{self.ports.health}"
        until("the Collector is healthy", lambda: process.check() or get(health))
        return process

    def start_gateway(self, name, address, *arguments, **variables):
        """One that listens at `address` for who asks how it is."""
        return self.start(
            name,
            [
                self.programs["gateway"],
                "--monitor-listen",
                address,
                *arguments,
            ],
            **{
                "OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={name}",
                "OTEL_METRIC_EXPORT_INTERVAL": "2000",
                "OTEL_TRACES_SAMPLER": "always_on",
                **variables,
            },
        )
