"""The rows about what it takes: the gateway itself, spend, the cache, memory, the monitor."""

from board.panels import RED, YELLOW, lines, number, steps
from board.queries import (
    ATTEMPTS,
    BY_MODEL,
    COMPONENTS,
    GATEWAY,
    MODELS,
    NAMED_MODEL,
    OPERATIONS,
    OVERHEAD,
    TOKENS,
    increase,
    or_none,
    rate,
    share,
)


def gateway(ask):
    work = ("aimux_component", "aimux_operation")
    return [
        lines(
            "Overhead of the gateway, p95",
            "What the gateway takes of an operation itself, without its attempts and without"
            " what it waits on purpose. If it grows, see its CPU, and its components beside.",
            "s",
            [("{{http_route}}", ask.quantile(0.95, OVERHEAD, GATEWAY, by=("http_route",)))],
            thresholds=steps((YELLOW, 0.01), (RED, 0.05)),
        ),
        lines(
            "Components, mean",
            "How long each piece of work inside the gateway takes: where the overhead comes from."
            " Most of it is too short for classic buckets, hence the mean.",
            "s",
            [
                (
                    "{{aimux_component}} {{aimux_operation}}",
                    f"{ask.amount(COMPONENTS, GATEWAY, by=work)}"
                    f" / {ask.count(COMPONENTS, GATEWAY, by=work)}",
                )
            ],
        ),
        lines(
            "In flight",
            "Operations that have begun and not ended. If it grows while throughput does not,"
            " providers are slow or do not answer.",
            "short",
            [
                (
                    "in flight {{instance}}",
                    f"sum by (instance) (http_server_active_requests{{{GATEWAY}}})",
                )
            ],
        ),
        lines(
            "Operations",
            "What clients ask for, by route. Compare it with yesterday before anything else.",
            "reqps",
            [("{{http_route}}", ask.count(OPERATIONS, GATEWAY, by=("http_route",)))],
            width=12,
            stacked=True,
        ),
        lines(
            "Attempts",
            "Calls to providers. More of these than of operations are retries and failovers;"
            " fewer, the response cache.",
            "reqps",
            [(NAMED_MODEL, ask.count(ATTEMPTS, MODELS, by=BY_MODEL))],
            width=12,
            stacked=True,
        ),
    ]


def money(ask):
    cost, operation_cost = "aimux_cost_total", "aimux_operation_cost_total"
    tokens = (*BY_MODEL, "gen_ai_token_type")
    answered = rate(
        "aimux_operations_total",
        f'{GATEWAY},aimux_operation_attempts!="0"',
        by=("http_route",),
    )
    return [
        number(
            "Spend per hour",
            "At the rate of the last minutes. If it jumps, see which model, and which route costs"
            " more per operation.",
            "currencyUSD",
            [("per hour", f"{rate(cost, MODELS)} * 3600")],
            width=8,
        ),
        number(
            "Spent in the time shown",
            "What the calls of the time shown have cost, as told by them or by the table of"
            " prices.",
            "currencyUSD",
            [("spent", increase(cost, MODELS))],
            width=8,
        ),
        number(
            "Unpriced calls in the time shown",
            "Calls that used tokens of a model without a price: what is spent is more than is"
            " shown. Add the models at /performance/providers, unpriced_models, to the prices.",
            "short",
            [("unpriced", or_none(increase("aimux_cost_unpriced_total", MODELS)))],
            width=8,
            thresholds=steps((YELLOW, 1)),
        ),
        lines(
            "Spend per hour by model",
            "What each model costs. A model that should cost little and does not is asked too"
            " much, or by long prompts: compare the tokens.",
            "currencyUSD",
            [(NAMED_MODEL, f"{rate(cost, MODELS, by=BY_MODEL)} * 3600")],
            stacked=True,
        ),
        lines(
            "Tokens",
            "Tokens that go in and come out, by model. Input that grows alone is longer prompts"
            " or context.",
            "suffix: tok/s",
            [
                (
                    f"{NAMED_MODEL} {{{{gen_ai_token_type}}}}",
                    ask.amount(TOKENS, MODELS, by=tokens),
                )
            ],
            stacked=True,
        ),
        lines(
            "Cost of an operation",
            "On average, of the operations that called a provider, with all their attempts."
            " If it grows, requests go to a dearer model, are longer, or are tried more often.",
            "currencyUSD",
            [
                (
                    "{{http_route}}",
                    f"{rate(operation_cost, GATEWAY, by=('http_route',))} / {answered}",
                )
            ],
        ),
        lines(
            "Unpriced calls",
            "Which models have no price, and how often they are called.",
            "reqps",
            [
                (
                    NAMED_MODEL,
                    f"{rate('aimux_cost_unpriced_total', MODELS, by=BY_MODEL)}"
                    f" or 0 * {ask.count(ATTEMPTS, MODELS, by=BY_MODEL)}",
                )
            ],
            width=24,
            height=5,
        ),
    ]


def cache(ask):
    hits = f'{GATEWAY},aimux_cache_result="hit"'
    results, saved_time = "aimux_cache_results_total", "aimux_cache_saved_time_seconds_total"
    saved = "aimux_cache_saved_cost_total"
    return [
        lines(
            "Hit ratio",
            "The share of look-ups in the response cache that found an answer. If it falls at"
            " once, keys have changed or the cache was emptied; expect spend to grow.",
            "percentunit",
            [("hits", share(rate(results, hits), rate(results, GATEWAY)))],
            max=1,
        ),
        lines(
            "Saved per hour",
            "What the answers of the cache would have cost.",
            "currencyUSD",
            [(NAMED_MODEL, f"{rate(saved, MODELS, by=BY_MODEL)} * 3600")],
            stacked=True,
        ),
        number(
            "Saved money in the time shown",
            "What the answers of the cache would have cost. Little for a high hit ratio: only"
            " cheap answers are kept.",
            "currencyUSD",
            [("money", increase(saved, MODELS))],
        ),
        number(
            "Saved time in the time shown",
            "How long clients would have waited for the answers of the cache.",
            "s",
            [("time", increase(saved_time, MODELS))],
        ),
    ]


def process(_):
    def each(metric):
        return f"max by (instance) ({metric}{{{GATEWAY}}})"

    used = rate("process_cpu_time_seconds_total", GATEWAY, by=("instance",))
    return [
        lines(
            "Memory",
            "Resident memory, the heap in it, and the limit at which the process is killed. If"
            " the heap grows and does not come back, something is kept for ever.",
            "bytes",
            [
                ("resident {{instance}}", each("process_memory_usage_bytes")),
                ("heap {{instance}}", each("aimux_process_heap_usage_bytes")),
                ("limit {{instance}}", each("aimux_process_memory_limit_bytes")),
            ],
            width=12,
        ),
        lines(
            "Memory pressure",
            "Resident memory over the limit. From 90 % on give it more, or let it do less, before"
            " it is killed.",
            "percentunit",
            [("pressure {{instance}}", each("aimux_process_memory_pressure_ratio"))],
            width=12,
            max=1,
            thresholds=steps((YELLOW, 0.8), (RED, 0.9)),
        ),
        lines(
            "CPU utilization",
            "CPU time over the most that the process could have had. Above 80 % expect overhead"
            " to grow: add an instance.",
            "percentunit",
            [("used {{instance}}", each("process_cpu_utilization_ratio"))],
            width=12,
            max=1,
            thresholds=steps((YELLOW, 0.7), (RED, 0.9)),
        ),
        lines(
            "CPUs used",
            "The same in whole CPUs, and how many there are for it.",
            "suffix: CPUs",
            [
                ("used {{instance}}", used),
                ("limit {{instance}}", each("aimux_process_cpu_limit")),
            ],
            width=12,
        ),
    ]


def monitor(_):
    push = ("aimux_destination",)
    bad = steps((RED, 1e-9))
    alerts = ("aimux_alert_rule", "aimux_alert_severity")
    active = f"max by ({', '.join(alerts)}) (aimux_alerts_active{{{GATEWAY}}})"

    def events(name):
        return rate(f"aimux_monitor_{name}_total", GATEWAY)

    return [
        lines(
            "Alerts by rule",
            "Which of the monitor's own alerts fire, and for how many providers or endpoints each."
            " What they saw is at /performance/alerts.",
            "short",
            [("{{aimux_alert_rule}}", or_none(active))],
            width=12,
            thresholds=steps((RED, 1)),
        ),
        lines(
            "Measurements dropped",
            "What the monitor was told and did not count, by reason: the numbers above lack it."
            " too_many_open and never_ended are requests whose end nobody tells; invalid_value is"
            " a number that is none.",
            "cps",
            [
                (
                    "{{aimux_reason}}",
                    or_none(
                        rate("aimux_monitor_events_dropped_total", GATEWAY, by=("aimux_reason",))
                    ),
                ),
                ("unreadable fields", or_none(events("fields_unreadable"))),
            ],
            width=12,
            thresholds=bad,
        ),
        lines(
            "Measurements",
            "What the monitor is offered, and what it has counted. They differ by what is dropped,"
            " and for a moment by what is on its way.",
            "cps",
            [("offered", events("events_offered")), ("counted", events("events_recorded"))],
        ),
        lines(
            "Series in use",
            "How many series the monitor keeps in all. If it grows without an end, a label holds"
            " what it should not: see /performance/cardinality.",
            "short",
            [("series {{instance}}", f"sum by (instance) (aimux_monitor_series{{{GATEWAY}}})")],
        ),
        lines(
            "Refused series and labels",
            "Measurements that share a series for want of room, and values of labels that count"
            " as _OTHER. Configure the names that are right, and bound the ones that are not.",
            "cps",
            [
                ("series", or_none(events("series_refused"))),
                (
                    "{{aimux_label}}",
                    or_none(
                        rate("aimux_monitor_labels_refused_total", GATEWAY, by=("aimux_label",))
                    ),
                ),
            ],
            thresholds=bad,
        ),
        lines(
            "Pushes that failed",
            "To webhooks, an Alertmanager, a Pushgateway or Elasticsearch: attempts that failed,"
            " and what was given up. The reason is in the gateway's log.",
            "cps",
            [
                (
                    "failed {{aimux_destination}}",
                    or_none(rate("aimux_monitor_push_failures_total", GATEWAY, by=push)),
                ),
                (
                    "given up {{aimux_destination}}",
                    or_none(rate("aimux_monitor_push_dropped_total", GATEWAY, by=push)),
                ),
            ],
            thresholds=bad,
        ),
        lines(
            "Memory of the monitor",
            "What the monitor takes of the gateway's memory, by what for. It is bounded; keep"
            " less history if it is too much.",
            "bytes",
            [
                (
                    "{{aimux_part}}",
                    f"sum by (aimux_part) (aimux_monitor_memory_bytes{{{GATEWAY}}})",
                )
            ],
            stacked=True,
        ),
        lines(
            "CPU of the monitor",
            "What the monitor's own threads take, as a share of one CPU. Collect less often if it"
            " is too much.",
            "percentunit",
            [
                (
                    "{{aimux_part}}",
                    rate("aimux_monitor_cpu_time_seconds_total", GATEWAY, by=("aimux_part",)),
                )
            ],
            stacked=True,
        ),
    ]
