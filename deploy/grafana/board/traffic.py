"""The rows about what comes in and goes out: clients, providers, failover, latency, limits."""

from board.panels import (
    GREEN,
    ORANGE,
    RED,
    YELLOW,
    bars,
    falling,
    heat,
    lines,
    number,
    states,
    steps,
)
from board.queries import (
    ATTEMPTS,
    BY_MODEL,
    CALLER,
    CHUNKS,
    FAILED,
    FAILED_BY_US,
    FIRST_CHUNK,
    GATEWAY,
    MODELS,
    NAMED_MODEL,
    OPERATIONS,
    OURS,
    POLICY,
    PROVIDER,
    SHOWN,
    UNKNOWN_FAULT,
    failed,
    increase,
    or_none,
    rate,
    share,
)


def clients(ask):
    whole = ask.count(OPERATIONS, GATEWAY)
    ours = share(ask.count(OPERATIONS, *FAILED_BY_US), whole)

    def burn(over):
        part = ask.count(OPERATIONS, *FAILED_BY_US, over=over)
        return f"{share(part, ask.count(OPERATIONS, GATEWAY, over=over))} / (1 - $objective)"

    burns = [(over, burn(over)) for over in ("5m", "1h", "6h")]
    burning = steps((YELLOW, 1), (ORANGE, 6), (RED, 14.4))
    failing = steps((YELLOW, 0.005), (RED, 0.05))
    every = share(ask.count(OPERATIONS, *FAILED), whole)
    status = ("http_response_status_code", "error_type")
    faults = {
        "caller": failed(CALLER),
        "policy": failed(POLICY),
        "provider": failed(PROVIDER),
        "gateway": failed(OURS),
        "unknown": (UNKNOWN_FAULT,),
    }
    return [
        number(
            "Failed operations",
            "The share of all operations that failed: a status from 400 on, or an error type, as"
            " of a stream that broke. If it is high and the number beside it is not, look at what"
            " clients send.",
            "percentunit",
            [("all", every)],
            thresholds=failing,
        ),
        number(
            "Failed, not by the caller",
            "Without what is the caller's fault or that of a rule: what the objective is about. A"
            " 429 without an error type counts as the provider's, so let the gateway's own limits"
            " say gateway_rate_limited.",
            "percentunit",
            [("not by the caller", ours)],
            thresholds=failing,
        ),
        number(
            "Burn rate",
            "How many times faster than allowed the error budget is spent, over three windows. At"
            " 1 it lasts exactly as long as the objective; at 14.4, thirty days of it are gone in"
            " two. Act at once if 5m and 1h are both red, today if 6h is orange.",
            "suffix:×",
            burns,
            width=8,
            decimals=1,
            thresholds=burning,
        ),
        number(
            "Budget left",
            "What is left of the error budget of the time that is shown. Below zero the objective"
            " is missed for that time.",
            "percentunit",
            [
                (
                    "left",
                    "1 - "
                    + share(
                        ask.count(OPERATIONS, *FAILED_BY_US, over=SHOWN),
                        ask.count(OPERATIONS, GATEWAY, over=SHOWN),
                    )
                    + " / (1 - $objective)",
                )
            ],
            thresholds=falling((YELLOW, 0), (GREEN, 0.25)),
        ),
        number(
            "Alerts",
            "How many of the monitor's own alerts fire. Which ones is at the bottom, and what"
            " they saw at /performance/alerts.",
            "none",
            [("firing", or_none(f"sum(aimux_alerts_active{{{GATEWAY}}})"))],
            thresholds=steps((RED, 1)),
        ),
        lines(
            "Failed operations over time",
            "The share of operations that failed, all and without those that are the caller's"
            " fault or that of a rule. See by fault whom to ask.",
            "percentunit",
            [("all", every), ("not by the caller", ours)],
            thresholds=failing,
        ),
        lines(
            "Burn rate over time",
            "The same windows over time. A short one that is high while the long ones are not is"
            " a spike, and over; all of them high is an outage.",
            "suffix:×",
            burns,
            thresholds=burning,
        ),
        lines(
            "Failed operations by fault",
            "Whose fault they are. The provider's: see providers and failover below. The"
            " gateway's: its log. The caller's: which status, beside.",
            "reqps",
            [(name, or_none(ask.count(OPERATIONS, *where))) for name, where in faults.items()],
            stacked=True,
        ),
        lines(
            "Failed operations by status",
            "With which status and error type. A 200 with an error type is a stream that broke,"
            " or one that the client gave up.",
            "reqps",
            [
                (
                    "{{http_response_status_code}} {{error_type}}",
                    or_none(ask.count(OPERATIONS, *FAILED, by=status)),
                )
            ],
            width=12,
            stacked=True,
        ),
        lines(
            "Duration of operations",
            "From the request to the end of the answer's body, as clients see it. If it grows"
            " and the providers' do not, look at the gateway's overhead.",
            "s",
            [
                (f"p{of * 100:g}", ask.quantile(of, OPERATIONS, GATEWAY))
                for of in (0.5, 0.95, 0.99)
            ],
            width=12,
        ),
    ]


def providers(ask):
    whole = ask.count(ATTEMPTS, MODELS, by=BY_MODEL)
    theirs = f'{MODELS},error_type!="",error_type!~"{CALLER}|{POLICY}"'
    health = f"min by ({', '.join(BY_MODEL)}) (aimux_provider_health_ratio{{{MODELS}}})"
    return [
        states(
            "Health of providers and models",
            "As the monitor judges each by its success, its speed against its own past, and the"
            " time since its last success; the worst of all instances. What is not there is not"
            " known yet. One model red: route around it. All of a provider red: see its own"
            " status page.",
            "percentunit",
            [(NAMED_MODEL, health)],
            {
                "0": {"color": RED, "index": 0, "text": "unhealthy"},
                "0.5": {"color": YELLOW, "index": 1, "text": "degraded"},
                "1": {"color": GREEN, "index": 2, "text": "healthy"},
            },
        ),
        lines(
            "Failed attempts",
            "The share of the calls to each model that failed, without what is the caller's"
            " fault or that of a rule. A retry or a failover may have hidden them from clients.",
            "percentunit",
            [(NAMED_MODEL, share(ask.count(ATTEMPTS, theirs, by=BY_MODEL), whole))],
            width=12,
            thresholds=steps((YELLOW, 0.05), (RED, 0.2)),
        ),
        lines(
            "Failed attempts by error",
            "How calls to each provider failed. Timeouts and broken connections point at the"
            " way there, overloaded and 5xx at the provider, rate_limited at our quota.",
            "reqps",
            [
                (
                    "{{gen_ai_provider_name}} {{error_type}}",
                    or_none(
                        ask.count(
                            ATTEMPTS,
                            f'{MODELS},error_type!=""',
                            by=("gen_ai_provider_name", "error_type"),
                        )
                    ),
                )
            ],
            width=12,
            stacked=True,
        ),
    ]


def failover(_):
    flow = ("aimux_failover_from", "aimux_failover_to", "aimux_failover_reason")
    named = "{{aimux_failover_from}} → {{aimux_failover_to}} {{aimux_failover_reason}}"
    chosen = f'{GATEWAY},aimux_failover_from=~"$provider"'
    chains = rate("aimux_operations_total", GATEWAY)
    again = f'{GATEWAY},aimux_operation_outcome="answered",aimux_operation_attempts!~"0|1"'
    exhausted = f'{GATEWAY},aimux_operation_outcome="exhausted"'
    return [
        lines(
            "Failover",
            "From which provider to which, and why. A steady flow away from one provider is"
            " a reason to take it out of the order; see that the one it goes to has quota"
            " left. The very first of its kind shows only with the second.",
            "reqps",
            [(named, or_none(rate("aimux_failovers_total", chosen, by=flow)))],
            stacked=True,
        ),
        bars(
            "Failovers in the time shown",
            "The same, added up: the largest flow is what to mend first.",
            "short",
            [(named, f"sort_desc({or_none(increase('aimux_failovers_total', chosen, by=flow))})")],
            thresholds=steps(),
        ),
        lines(
            "What came of it",
            "The share of operations that a second or later attempt answered, which failover"
            " has saved, and of those for which every attempt failed. If the latter grows, add"
            " a provider that fails for other reasons.",
            "percentunit",
            [
                ("saved", share(rate("aimux_operations_total", again), chains)),
                ("exhausted", share(rate("aimux_operations_total", exhausted), chains)),
            ],
        ),
    ]


def latency(ask):
    panels = []
    for title, metric, bad, what in (
        (
            "Time to first chunk",
            FIRST_CHUNK,
            2,
            "Until a streamed answer begins, which is what a reader waits for. If it grows for"
            " one model only, prefer another of the same kind.",
        ),
        (
            "Duration of attempts",
            ATTEMPTS,
            30,
            "Of calls to providers, to the end of the answer. It grows with the length of"
            " answers too: compare the time to first chunk and the speed below.",
        ),
    ):
        for of in (0.5, 0.95, 0.99):
            panels.append(
                lines(
                    f"{title}, p{of * 100:g}",
                    what,
                    "s",
                    [(NAMED_MODEL, ask.quantile(of, metric, MODELS, by=BY_MODEL))],
                    **({"thresholds": steps((RED, bad))} if of == 0.95 else {}),
                )
            )
    return panels + [
        heat(
            "Time to first chunk, all",
            "How the chosen models spread. Two bands are two kinds of answer or of model; a band"
            " that moves up is a provider that slows down. Choose a model at the top.",
            ask.buckets(FIRST_CHUNK, MODELS),
        ),
        heat(
            "Duration of attempts, all",
            "How the calls to the chosen models spread. A line far up at a constant height is"
            " a time limit. Points are requests with a trace, if exemplars are stored.",
            ask.buckets(ATTEMPTS, MODELS),
        ),
        lines(
            "Speed of streamed answers",
            "Output tokens per second from the first chunk to the end. If it falls, the provider"
            " is short of capacity, though it may still begin as fast as ever.",
            "suffix: tok/s",
            [
                (
                    NAMED_MODEL,
                    f"{rate('aimux_streamed_tokens_total', MODELS, by=BY_MODEL)}"
                    f" / {rate('aimux_streamed_time_seconds_total', MODELS, by=BY_MODEL)}",
                )
            ],
            width=12,
        ),
        lines(
            "Time per chunk, p95",
            "Between the chunks of a streamed answer, after the first. High with a good speed is"
            " a provider that sends much at once; readers see it stutter.",
            "s",
            [(NAMED_MODEL, ask.quantile(0.95, CHUNKS, MODELS, by=BY_MODEL))],
            width=12,
        ),
    ]


def limits(ask):
    told = 'error_type=~"rate_limited|429"'
    whole = ask.count(ATTEMPTS, MODELS, by=BY_MODEL)
    left = ("gen_ai_provider_name", "gen_ai_request_model", "aimux_rate_limit_resource")
    return [
        lines(
            "429s",
            "What clients were answered, what limits of the gateway refused, and what providers"
            " refused. Ours high: one client sends too much, or the limit is too low. Providers'"
            " high and clients' not: failover takes it.",
            "reqps",
            [
                (
                    "to clients",
                    or_none(ask.count(OPERATIONS, f'{GATEWAY},http_response_status_code="429"')),
                ),
                (
                    "by our limits",
                    or_none(
                        rate(
                            "aimux_rate_limit_hits_total",
                            f'{GATEWAY},aimux_rate_limit_by="gateway"',
                        )
                    ),
                ),
                ("by providers", or_none(ask.count(ATTEMPTS, f"{MODELS},{told}"))),
            ],
        ),
        lines(
            "Refused by providers",
            "The share of the calls to each model that were refused as too many. Ask for a larger"
            " quota, or send less there.",
            "percentunit",
            [
                (
                    NAMED_MODEL,
                    share(ask.count(ATTEMPTS, f"{MODELS},{told}", by=BY_MODEL), whole),
                )
            ],
            thresholds=steps((YELLOW, 0.01), (RED, 0.05)),
        ),
        lines(
            "Quota left",
            "What providers say is left of each quota, of those that say it; the least of all"
            " instances. Near zero, refusals follow: send to another provider in time.",
            "percentunit",
            [
                (
                    f"{NAMED_MODEL} {{{{aimux_rate_limit_resource}}}}",
                    f"min by ({', '.join(left)}) (aimux_rate_limit_remaining{{{MODELS}}}"
                    f" / (aimux_rate_limit_limit{{{MODELS}}} > 0))",
                )
            ],
            max=1,
            thresholds=falling((YELLOW, 0.1), (GREEN, 0.25)),
        ),
    ]
