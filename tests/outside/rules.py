#!/usr/bin/env python3
"""Tests the rules for Prometheus: each alert fires where it should, and not where it should not.

    python3 tests/outside/rules.py PROMTOOL

In each case one service is ill and another is well. The histograms are made in both forms, each
for the rules of that form, and `promtool` of Prometheus 3 judges.
"""

import json
import math
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]
BOUNDS = [0.01 * 2**n for n in range(17)]
ATTEMPTS = "gen_ai_client_operation_duration_seconds"
FIRST = "gen_ai_client_operation_time_to_first_chunk_seconds"
OPERATIONS = "http_server_request_duration_seconds"


def series(metric, labels, values):
    pairs = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return {"series": f"{metric}{{{pairs}}}", "values": values}


def steady(per_minute, minutes):
    return f"0+{per_minute}x{minutes}"


def histogram(form, metric, labels, per_minute, seconds, minutes=60):
    """So many a minute that took so long."""
    if form == "native":
        # Of schema 0: bucket n is (2^(n-1), 2^n].
        at = math.ceil(math.log2(seconds))
        one = f"schema:0 sum:{per_minute * seconds} count:{per_minute} offset:{at} buckets:[{per_minute}]"
        none = f"schema:0 sum:0 count:0 offset:{at} buckets:[0]"
        return [series(metric, labels, f"{{{{{none}}}}}+{{{{{one}}}}}x{minutes}")]
    made = [
        series(f"{metric}_count", labels, steady(per_minute, minutes)),
        series(f"{metric}_sum", labels, steady(per_minute * seconds, minutes)),
    ]
    for bound in [*BOUNDS, math.inf]:
        le = "+Inf" if bound == math.inf else f"{bound:g}"
        within = per_minute if seconds <= bound else 0
        made.append(series(f"{metric}_bucket", {**labels, "le": le}, steady(within, minutes)))
    return made


def cases(form):
    """What is there, when it is judged, which alert fires for whom; nothing else of that name does."""

    def of(job, **labels):
        return {"job": job, "instance": f"{job}-1", **labels}

    def attempts(job, per_minute, seconds=0.1, **more):
        labels = of(job, gen_ai_provider_name="openai", gen_ai_request_model="gpt-4o", **more)
        return histogram(form, ATTEMPTS, labels, per_minute, seconds)

    def operations(job, per_minute, minutes=60, **more):
        labels = of(job, http_route="/v1/chat", http_request_method="POST", **more)
        return histogram(form, OPERATIONS, labels, per_minute, 0.1, minutes)

    def gauge(metric, ill, well, **labels):
        return [series(metric, of(job, **labels), f"{value}x60") for job, value in [("ill", ill), ("well", well)]]

    def counter(metric, ill, well, minutes=60, **labels):
        return [
            series(metric, of(job, **labels), steady(value, minutes))
            for job, value in [("ill", ill), ("well", well)]
        ]

    yield "AimuxResponseTime", [*attempts("ill", 60, 7), *attempts("well", 60, 0.5)], "30m", ["critical", "warning"]
    yield "AimuxResponseTime", [*attempts("ill", 60, 3), *attempts("well", 60, 0.5)], "30m", ["warning"]
    # Seven seconds, and too few to say so.
    yield "AimuxResponseTime", [*attempts("ill", 60, 3), *attempts("well", 1, 7)], "30m", ["warning"]
    failing = [*attempts("ill", 7, error_type="503"), *attempts("ill", 93), *attempts("well", 100)]
    yield "AimuxErrorRate", failing, "30m", ["warning"]
    failing = [*attempts("ill", 20, error_type="503"), *attempts("ill", 80), *attempts("well", 2, error_type="503"), *attempts("well", 98)]
    yield "AimuxErrorRate", failing, "30m", ["critical", "warning"]
    # The other one fails because its provider does, which is told already.
    refused = dict(http_response_status_code="404")
    fine = dict(http_response_status_code="200")
    unwell = [
        *operations("ill", 30, **refused), *operations("ill", 70, **fine), *attempts("ill", 70),
        *operations("well", 30, http_response_status_code="503", error_type="503"), *operations("well", 70, **fine),
        *attempts("well", 30, error_type="503"), *attempts("well", 70),
    ]
    yield "AimuxSuccessRate", unwell, "30m", ["critical", "warning"]
    late = [
        *histogram(form, FIRST, of("ill", gen_ai_provider_name="openai"), 60, 3.9),
        *histogram(form, FIRST, of("well", gen_ai_provider_name="openai"), 60, 0.5),
    ]
    yield "AimuxTimeToFirstToken", late, "30m", ["warning"]
    late = [*histogram(form, FIRST, of("ill", gen_ai_provider_name="openai"), 60, 31), *late[len(late) // 2:]]
    yield "AimuxTimeToFirstToken", late, "30m", ["critical", "warning"]
    yield "AimuxMemoryPressure", gauge("aimux_process_memory_pressure_ratio", 0.96, 0.5), "30m", ["critical", "warning"]
    yield "AimuxMemoryPressure", gauge("aimux_process_memory_pressure_ratio", 0.85, 0.79), "30m", ["warning"]
    yield "AimuxCpuUsage", gauge("process_cpu_utilization_ratio", 0.97, 0.84), "30m", ["critical", "warning"]
    burning = [
        *operations("ill", 10, **fine), *operations("ill", 1, http_response_status_code="503", error_type="503"),
        # The faults of callers burn nothing.
        *operations("well", 10, **fine), *operations("well", 5, **refused), *operations("well", 1, error_type="cancelled"),
    ]
    yield "AimuxErrorBudgetBurn", burning, "60m", ["critical", "warning"]
    slowly = [
        *operations("ill", 960, 400, **fine), *operations("ill", 40, 400, http_response_status_code="503", error_type="503"),
        *operations("well", 998, 400, **fine), *operations("well", 2, 400, http_response_status_code="503", error_type="503"),
    ]
    yield "AimuxErrorBudgetBurn", slowly, "390m", ["warning"]
    alive = counter("aimux_monitor_events_offered_total", 60, 60)
    yield "AimuxAbsent", [series("up", {"job": "ill"}, "1x60")], "30m", [("", "critical")]
    yield "AimuxAbsent", alive, "30m", []
    gone = [
        *alive,
        series("aimux_monitor_events_offered_total", {"job": "ill", "instance": "ill-2"}, "0+60x20 stale"),
    ]
    yield "AimuxGatewayGone", gone, "28m", ["warning"]
    health = "aimux_provider_health_ratio"
    down = [
        *gauge(health, 0, 0, gen_ai_provider_name="openai", gen_ai_request_model="gpt-4o"),
        *gauge(health, 0, 0.5, gen_ai_provider_name="openai", gen_ai_request_model="gpt-4o-mini"),
    ]
    yield "AimuxProviderDown", down, "30m", ["critical"]
    chains = [
        *counter("aimux_operations_total", 5, 0.5, aimux_operation_outcome="exhausted"),
        *counter("aimux_operations_total", 95, 99.5, aimux_operation_outcome="answered"),
    ]
    yield "AimuxChainExhausted", chains, "30m", ["critical"]
    spending = [
        series("aimux_cost_total", of("ill"), "0+0.01x1400 14+1x100"),
        series("aimux_cost_total", of("well"), "0+0.5x1500"),
    ]
    yield "AimuxSpendingJump", spending, "1470m", ["warning"]
    yield "AimuxUnpricedModel", counter("aimux_cost_unpriced_total", 1, 0), "30m", ["info"]
    refused = [*counter("aimux_monitor_series_refused_total", 0, 0), *counter("aimux_monitor_labels_refused_total", 3, 0)]
    yield "AimuxSeriesRefused", refused, "50m", ["warning"]
    yield "AimuxMeasurementsDropped", counter("aimux_monitor_events_dropped_total", 1, 0, aimux_reason="too_many_open"), "30m", ["warning"]
    yield "AimuxPushFailing", counter("aimux_monitor_push_dropped_total", 9, 0, aimux_destination="otlp_traces"), "30m", ["warning"]


def test_of(alert, there, at, fires):
    """Severities of the service `ill`; a pair names another service."""
    fires = [one if isinstance(one, tuple) else ("ill", one) for one in fires]
    expected = []
    for job, severity in fires:
        labels = {"job": job, "severity": severity} if job else {"severity": severity}
        pairs = ", ".join(f'{name}="{value}"' for name, value in labels.items())
        expected.append({"labels": f"{{{pairs}}}", "value": 1})
    firing = f'count by (job, severity) (ALERTS{{alertname="{alert}",alertstate="firing"}})'
    return {
        "interval": "1m",
        "input_series": there,
        "promql_expr_test": [{"expr": firing, "eval_time": at, "exp_samples": expected}],
    }


def main():
    promtool = sys.argv[1]
    failed = 0
    for form in ("classic", "native"):
        rules = ROOT / "deploy" / "prometheus" / f"rules-{form}.yml"
        failed += subprocess.run([promtool, "check", "rules", "--lint=all", rules]).returncode
        alerts = {line.split()[-1] for line in rules.read_text().splitlines() if "- alert:" in line}
        tested = set()
        for alert, there, at, fires in cases(form):
            tested.add(alert)
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                test = {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [test_of(alert, there, at, fires)]}
                json.dump(test, file)
                file.flush()
                done = subprocess.run([promtool, "test", "rules", file.name], capture_output=True, text=True)
            what = ", ".join(one if isinstance(one, str) else one[1] for one in fires) or "nothing"
            print(f"{form:<8} {alert:<26} {what:<20} {'ok' if not done.returncode else 'FAILS'}")
            if done.returncode:
                failed += 1
                print(done.stdout, done.stderr)
        if alerts != tested:
            failed += 1
            print(f"{form}: not tested {alerts - tested}, not there {tested - alerts}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
