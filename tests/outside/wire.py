#!/usr/bin/env python3
"""Everything on the real wire: three gateways push to a Collector, which pushes on to a Prometheus
that scrapes the gateways too. What each of them says is compared, and both numbers are printed.

    python3 tests/outside/wire.py

What is not on this machine is built first: see `collector/build.sh` and `prometheus/build.sh`. All
of it listens on loopback, on free ports, and is gone at the end. Exits with 1 if anything differs.
"""

import argparse
import collections
import contextlib
import gzip
import http.server
import itertools
import json
import math
import pathlib
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "deploy"))
from stack import Stack, build_gateway, built, free_port, get, get_json, until  # noqa: E402

PUSHED, SCRAPED, EXPORTED = 'job="gateway"', 'job="gateway-scraped"', 'job="collector-exporter"'
ATTEMPTS = "gen_ai_client_operation_duration_seconds"
OPERATIONS = "http_server_request_duration_seconds"
# A bucket is so wide, relative to its bounds, at scale 6: both sides tell some value of it.
BUCKET = 2 ** (1 / 64) - 1
# What the example gateway has no occasion to tell.
WITHOUT = ["aimux_cost_unpriced_total"]


class Table:
    """What was compared, with both numbers."""

    def __init__(self):
        self.failed = 0
        self.lines = 0

    def row(self, what, one, other, *, within=0.0, quiet=False):
        """`other` is to be `one`, within a part of it."""
        fits = math.isclose(one, other, rel_tol=within, abs_tol=0.0)
        self.failed += not fits
        self.lines += 1
        if not fits or not quiet:
            mark = "ok" if fits else "DIFFERS"
            print(f"{what:<74} {one:>14.6g} {other:>14.6g}  {mark}", flush=True)

    def holds(self, what, fits, detail=""):
        self.failed += not fits
        self.lines += 1
        print(f"{what:<74} {detail:>29}  {'ok' if fits else 'FAILS'}", flush=True)


class Clock:
    """How long each part took."""

    def __init__(self):
        self.parts = []
        self.began = time.monotonic()

    def part(self, what):
        now = time.monotonic()
        self.parts.append((what, now - self.began))
        self.began = now


class Prometheus:
    def __init__(self, url):
        self.url = url

    def query(self, query):
        """The series of an instant query, by their labels."""
        asked = urllib.parse.urlencode({"query": query})
        answer = get_json(f"{self.url}/api/v1/query?{asked}")
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def values(self, query, *labels):
        """Numbers by some labels."""
        return {
            tuple(series["metric"].get(label, "") for label in labels): float(series["value"][1])
            for series in self.query(query)
            if "value" in series
        }

    def number(self, query):
        return sum(self.values(query).values())


def export(monitor):
    """What a gateway says of itself, in OTLP: the points of each metric."""
    metrics = collections.defaultdict(list)
    for line in get_lines(f"{monitor}/performance/export?format=otlp"):
        for resource in json.loads(line).get("resourceMetrics", []):
            for scope in resource["scopeMetrics"]:
                for metric in scope["metrics"]:
                    kinds = ("exponentialHistogram", "sum", "gauge", "histogram")
                    data = next(metric[kind] for kind in kinds if kind in metric)
                    metrics[metric["name"]].extend(data["dataPoints"])
    return metrics


def get_lines(url):
    return [line for line in get(url).decode().splitlines() if line.strip()]


def attribute(point, name):
    for pair in point.get("attributes", []):
        if pair["key"] == name:
            return str(next(iter(pair["value"].values())))
    return ""


class Merged:
    """Exponential histograms of any scale, added up."""

    def __init__(self, points):
        self.scale = min(point["scale"] for point in points)
        self.counts = collections.Counter()
        for point in points:
            shift = point["scale"] - self.scale
            buckets = point.get("positive", {})
            for at, count in enumerate(buckets.get("bucketCounts", [])):
                self.counts[(at + buckets.get("offset", 0)) >> shift] += int(count)
            self.counts[-math.inf] += int(point.get("zeroCount", 0))

    def quantile(self, q):
        """Any value of the bucket that the value of nearest rank is in."""
        rank = max(1, math.ceil(q * sum(self.counts.values()) - 1e-9))
        for at in sorted(self.counts):
            rank -= self.counts[at]
            if rank <= 0:
                base = 2 ** (2**-self.scale)
                return base ** (at + 0.5)


def settle(prometheus, monitors, table):
    """Waits until what was pushed is what was scraped, and says what each came to."""
    pushed = f"sum(histogram_count({ATTEMPTS}{{{PUSHED}}}))"
    scraped = f"sum({ATTEMPTS}_count{{{SCRAPED}}})"
    exported = f"sum(histogram_count({ATTEMPTS}{{{EXPORTED}}}))"

    def attempts():
        views = [get_json(f"{m}/performance/providers")["summary"] for m in monitors]
        return sum(view["total_requests"] for view in views)

    def settled():
        truth = attempts()
        return all(truth == prometheus.number(way) for way in (pushed, scraped, exported))

    try:
        until("all ways agree on the number of attempts", settled, patience=30)
    except TimeoutError:
        pass
    table.row("attempts: pushed, and scraped", prometheus.number(pushed), prometheus.number(scraped))
    table.row("attempts: the views, and pushed", attempts(), prometheus.number(pushed))
    what = "attempts: the views, and scraped of the Collector"
    table.row(what, attempts(), prometheus.number(exported))


def compare_totals(prometheus, table):
    """Each series of the one way with that of the other."""
    who = ["gen_ai_provider_name", "gen_ai_request_model", "error_type"]
    where = ["http_route", "http_request_method", "http_response_status_code", "error_type"]
    for metric, labels in [
        (ATTEMPTS, who),
        ("gen_ai_client_operation_time_to_first_chunk_seconds", who[:2]),
        ("gen_ai_client_token_usage", [*who[:2], "gen_ai_token_type"]),
        (OPERATIONS, where),
        ("aimux_operation_overhead_seconds", where[:1]),
    ]:
        by = ", ".join(labels)
        for part, within in [("count", 0.0), ("sum", 1e-9)]:
            native = f"sum by ({by}) (histogram_{part}({metric}{{{PUSHED}}}))"
            classic = f"sum by ({by}) ({metric}_{part}{{{SCRAPED}}})"
            one, other = prometheus.values(native, *labels), prometheus.values(classic, *labels)
            # What is configured is scraped as zero before there is anything to push.
            other = {key: value for key, value in other.items() if value or key in one}
            missing = set(one) ^ set(other)
            table.holds(f"{metric}: the same series", not missing, f"{len(one)} series")
            for key in set(one) & set(other):
                table.row(f"{metric}_{part}{key}", one[key], other[key], within=within, quiet=True)
            total = sum(one.values()), sum(other.values())
            table.row(f"{metric}_{part}, all", *total, within=within)
    for metric, labels in [
        ("aimux_cost_total", who[:2]),
        ("aimux_failovers_total", ["aimux_failover_from", "aimux_failover_to"]),
        ("aimux_cache_results_total", ["aimux_cache_result"]),
        ("aimux_operations_total", ["aimux_operation_attempts", "aimux_operation_outcome"]),
    ]:
        by = ", ".join(labels)
        ask = f"sum by ({by}) ({metric}{{%s}})"
        one, other = (prometheus.values(ask % job, *labels) for job in (PUSHED, SCRAPED))
        table.holds(f"{metric}: the same series", set(one) == set(other), f"{len(one)} series")
        for key in set(one) & set(other):
            table.row(f"{metric}{key}", one[key], other[key], within=1e-12, quiet=True)
        table.row(f"{metric}, all", sum(one.values()), sum(other.values()), within=1e-12)


def compare_quantiles(prometheus, monitors, names, table):
    """`histogram_quantile` over native histograms, with `/performance`, and over all processes."""
    attempts = [export(monitor)["gen_ai.client.operation.duration"] for monitor in monitors]
    for q in (0.5, 0.95, 0.99):
        for monitor, name in zip(monitors, names):
            ask = f'histogram_quantile({q}, sum by (gen_ai_provider_name, gen_ai_request_model) '
            ask += f'({ATTEMPTS}{{{PUSHED}, instance="{name}"}}))'
            theirs = prometheus.values(ask, "gen_ai_provider_name", "gen_ai_request_model")
            for provider, view in get_json(f"{monitor}/performance/providers")["providers"].items():
                for model, stats in view["model_stats"].items():
                    ours = stats[f"p{round(q * 100)}_duration_ms"]
                    if ours is None:
                        continue
                    what = f"p{round(q * 100)} of {model} at {name}, in s"
                    seconds = ours / 1e3
                    theirs_of = theirs.get((provider, model), math.nan)
                    table.row(what, seconds, theirs_of, within=BUCKET, quiet=name != names[0])
        together = Merged(list(itertools.chain(*attempts))).quantile(q)
        of_all = prometheus.number(f"histogram_quantile({q}, sum({ATTEMPTS}{{{PUSHED}}}))")
        table.row(f"p{round(q * 100)} of all attempts of {len(names)} processes, in s", together, of_all, within=BUCKET)
    scales = {point["scale"] for points in attempts for point in points}
    table.holds("the scale of what is compared", scales <= {6}, str(sorted(scales)))


def spans_of(file):
    """What the Collector wrote, by id."""
    spans = {}
    for line in file.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            for resource in json.loads(line).get("resourceSpans", []):
                for scope in resource["scopeSpans"]:
                    spans.update((span["spanId"], span) for span in scope["spans"])
    return spans


def compare_spans(prometheus, file, monitors, table):
    """What was traced with what was sent, and with the metrics that the Collector makes of it."""
    offered = sent = lost = 0

    def none_waits():
        nonlocal offered, sent, lost
        views = [get_json(f"{monitor}/performance/summary") for monitor in monitors]
        traces = [view["monitor"]["pushes"]["otlp_traces"] for view in views]
        offered = sum(health["offered"] for health in traces)
        sent = sum(health["sent"] for health in traces)
        lost = sum(sum(health["dropped"].values()) for health in traces)
        return offered == sent + lost

    with contextlib.suppress(TimeoutError):
        until("no span waits any more", none_waits, patience=20)
    table.row("spans: offered, and sent or lost with a reason", offered, sent + lost)
    what = "some were lost while the Collector was killed, and counted"
    table.holds(what, lost > 0, f"{lost} of {offered}")

    calls = f"sum by (span_kind) (traces_span_metrics_calls_total{{{EXPORTED}}})"
    spans, made = {}, {}

    def settled():
        nonlocal spans, made
        spans, made = spans_of(file), prometheus.values(calls, "span_kind")
        return len(spans) == sum(made.values())

    with contextlib.suppress(TimeoutError):
        until("metrics are made of all spans", settled, patience=20)
    kinds = collections.Counter(span["kind"] for span in spans.values())
    for number, kind in enumerate(["INTERNAL", "SERVER", "CLIENT"], 1):
        counted = made.get((f"SPAN_KIND_{kind}",), 0)
        what = f"spans of the kind {kind}: in the file, and made into metrics"
        table.row(what, kinds[number], counted)
    of_calls = [span for span in spans.values() if span["kind"] == 3]
    below = sum(span.get("parentSpanId") in spans for span in of_calls)
    # The parent of a call may have been among what was lost.
    what = "calls whose parent is there"
    table.holds(what, below >= len(of_calls) * 0.9, f"{below} of {len(of_calls)}")


class Sink(http.server.BaseHTTPRequestHandler):
    """Takes what is pushed, and weighs it."""

    protocol_version = "HTTP/1.1"
    pushes = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        Sink.pushes.append((len(body), len(gzip.compress(body))))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def weigh(stack, monitors):
    """What one way and the other costs: bytes for each series and interval."""
    body = get(f"{monitors[0]}/metrics")
    samples = sum(not line.startswith(b"#") for line in body.splitlines())
    print(f"\n/metrics: {len(body)} bytes, {samples} samples, {len(body) / samples:.0f} bytes each, "
          f"{len(gzip.compress(body)) / samples:.1f} if it is compressed")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{free_port()}"
    endpoint = f"http://127.0.0.1:{server.server_port}/v1/metrics"
    stack.start_gateway(
        "weighed",
        address,
        *["--listen", "127.0.0.1:0", "--speed", "5", "--hold", "--duration", "10"],
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=endpoint,
    )
    time.sleep(14)
    pushed = get_json(f"http://{address}/performance/summary")["monitor"]["pushes"]["otlp_metrics"]
    whole, small = (sum(sizes) for sizes in zip(*Sink.pushes))
    points, pushes = pushed["sent"], len(Sink.pushes)
    print(f"OTLP: {whole / pushes:.0f} bytes a push, {points / pushes:.0f} points, "
          f"{whole / points:.0f} bytes each, {small / points:.1f} if it is compressed")
    server.shutdown()


def rules(prometheus, table):
    """Prometheus evaluates the rules, and what they record is what was measured."""
    groups = get_json(f"{prometheus.url}/api/v1/rules")["data"]["groups"]
    of_all = [rule for group in groups for rule in group["rules"]]
    ill = [rule["name"] for rule in of_all if rule["health"] != "ok"]
    table.holds("every rule is evaluated", of_all and not ill, f"{len(of_all)} rules {ill}")
    names = sorted({rule["name"] for rule in of_all if rule["type"] == "recording"})
    for name in names:
        count = len(prometheus.query(f"{name}{{{PUSHED}}}"))
        table.holds(f"{name} is recorded", count > 0, f"{count} series")
    firing = prometheus.values('count by (alertname) (ALERTS{alertstate="firing"})', "alertname")
    print(f"{'alerts that fire':<74} {sorted(name for name, in firing)}")


def scrape_in(stack, addresses, monitors, table):
    """The other way into the Collector: it scrapes the gateways itself."""
    port = free_port()
    variables = stack.collector_variables(
        METRICS_RECEIVERS="[prometheus]",
        SCRAPE_TARGETS=f"[{', '.join(addresses)}]",
        SCRAPE_INTERVAL="1s",
        METRICS_EXPORTERS="[prometheus, debug]",
        PROMETHEUS_EXPORTER_ENDPOINT=f"127.0.0.1:{port}",
        **{
            name: f"127.0.0.1:{free_port()}"
            for name in ("OTLP_GRPC_ENDPOINT", "OTLP_HTTP_ENDPOINT", "HEALTH_CHECK_ENDPOINT")
        },
        COLLECTOR_METRICS_PORT=str(free_port()),
    )
    config = ROOT / "otel-collector.yaml"
    process = stack.start("scraping", [stack.programs["collector"], "--config", config], **variables)

    def count(url):
        lines = get(f"{url}/metrics").decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{ATTEMPTS}_count"))

    truth = sum(map(count, monitors))
    with contextlib.suppress(TimeoutError):
        until("the Collector has scraped", lambda: count(f"http://127.0.0.1:{port}") == truth, 20)
    table.row("attempts: scraped, and scraped by a Collector", truth, count(f"http://127.0.0.1:{port}"))
    process.stop()


def boards(prometheus, table, clock):
    for board, job in [("classic", "gateway-scraped"), ("native", "gateway")]:
        command = [
            sys.executable,
            ROOT / "tests" / "outside" / "boards.py",
            prometheus.url,
            "--service",
            job,
            "--patience",
            "60",
            *itertools.chain(*(["--without", metric] for metric in WITHOUT)),
            ROOT / "deploy" / "grafana" / f"gateway-{board}.json",
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(done.stdout, done.stderr)
        panels = len(done.stdout.splitlines())
        table.holds(f"every query of the {board} board has an answer", not done.returncode, f"{panels} lines")
        clock.part(f"the {board} board")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=int, default=75, help="of traffic [default: 75]")
    seconds = parser.parse_args().seconds
    clock, table = Clock(), Table()
    collector = built("collector")
    clock.part("the Collector found or built")
    programs = built("prometheus")
    clock.part("the Prometheus found or built")
    gateway = build_gateway()
    clock.part("the gateway built")

    config = ROOT / "otel-collector.yaml"
    done = subprocess.run([collector, "validate", "--config", config], capture_output=True, text=True)
    table.holds("otel-collector.yaml is valid", not done.returncode, done.stderr.strip()[-29:])

    names = ["gateway-1", "gateway-2", "gateway-3"]
    addresses = [f"127.0.0.1:{free_port()}" for _ in names]
    monitors = [f"http://{address}" for address in addresses]
    with Stack(
        free_ports=True, collector=collector, prometheus=programs, gateway=gateway
    ) as stack:
        prometheus = Prometheus(stack.prometheus)
        stack.start_prometheus(addresses)
        wires = {
            "TRACES_EXPORTERS": "[span_metrics, file]",
            "SPAN_METRICS_INTERVAL": "1s",
        }
        running = stack.start_collector(**wires, FILE_EXPORTER_PATH=str(stack.folder / "spans-1.jsonl"))
        for seed, (name, address) in enumerate(zip(names, addresses), 1):
            protocol = "grpc" if seed == 3 else "http/protobuf"
            stack.start_gateway(
                name,
                address,
                *["--listen", "127.0.0.1:0", "--speed", "5", "--hold"],
                *["--duration", str(seconds), "--seed", str(seed)],
                OTEL_EXPORTER_OTLP_ENDPOINT=stack.otlp_grpc if seed == 3 else stack.otlp_http,
                OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
            )
        for monitor in monitors:
            until("the gateway answers", lambda: get_json(f"{monitor}/performance/summary"))
        ends = time.monotonic() + seconds
        clock.part("all started")

        time.sleep(5)
        running.stop(by=signal.SIGKILL)
        time.sleep(4)
        for monitor, name in zip(monitors, names):
            health = get_json(f"{monitor}/performance/summary")["monitor"]["pushes"]
            lost = sum(health["otlp_traces"]["dropped"].values())
            table.holds(f"{name} counts what it cannot push", lost > 0, f"{health['otlp_traces']['dropped'].get('unreachable')} unreachable")
        stack.start_collector(**wires, FILE_EXPORTER_PATH=str(stack.folder / "spans-2.jsonl"))
        clock.part("the Collector killed and started again")

        time.sleep(max(0, ends - 15 - time.monotonic()))
        clock.part("traffic")
        boards(prometheus, table, clock)
        rules(prometheus, table)
        time.sleep(max(0, ends + 2 - time.monotonic()))

        settle(prometheus, monitors, table)
        compare_totals(prometheus, table)
        compare_quantiles(prometheus, monitors, names, table)
        compare_spans(prometheus, stack.folder / "spans-2.jsonl", monitors, table)
        clock.part("compared")
        scrape_in(stack, addresses, monitors, table)
        weigh(stack, monitors)
        clock.part("weighed")
    clock.part("stopped")

    print()
    for what, took in clock.parts:
        print(f"{took:7.1f} s  {what}")
    print(f"\n{table.lines} comparisons, {table.failed} failed")
    sys.exit(bool(table.failed))


if __name__ == "__main__":
    main()
