#!/usr/bin/env python3
"""Starts a gateway with traffic of its own, a Collector that it pushes to and a Prometheus, to look at.

    python3 deploy/up.py

What is not on this machine is built first, which takes some minutes: see `tests/outside`. Ctrl-C
ends it all, and nothing is left.
"""

import signal

from stack import ROOT, Stack, build_gateway, built

with Stack(
    free_ports=False,
    collector=built("collector"),
    prometheus=built("prometheus"),
    gateway=build_gateway(),
) as stack:
    stack.start_prometheus(["127.0.0.1:9464"])
    stack.start_collector()
    gateway = stack.start_gateway(
        "gateway-1",
        "127.0.0.1:9464",
        "--speed",
        "5",
        OTEL_EXPORTER_OTLP_ENDPOINT=stack.otlp_http,
    )
    ports = stack.ports
    print(f"""
gateway      http://127.0.0.1:8080      OpenAI's and Anthropic's routes
its views    http://127.0.0.1:9464/performance
its metrics  http://127.0.0.1:9464/metrics
Collector    {stack.otlp_http}      OTLP by HTTP; by gRPC at port {ports.otlp_grpc}
             http://127.0.0.1:{ports.exporter}/metrics      what it has of the gateway
Prometheus   {stack.prometheus}      what was scraped is the job "gateway-scraped", what was pushed "gateway"
Grafana      deploy/grafana/gateway-classic.json and gateway-native.json, with that Prometheus

Logs are in {stack.folder}. Ctrl-C ends it all.
""", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass
