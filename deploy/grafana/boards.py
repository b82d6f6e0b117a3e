"""Writes the two dashboards, `gateway-classic.json` and `gateway-native.json`.

They show the same; only how histograms are asked differs. The first is for gateways that are
scraped at `/metrics`, the second for those that push OTLP into Prometheus 3 or into a Collector.

    python3 deploy/grafana/boards.py            writes both
    python3 deploy/grafana/boards.py --check    fails with the difference if they are not these
"""

import argparse
import difflib
import json
import pathlib
import sys

from board import traffic, upkeep
from board.queries import ATTEMPTS, GATEWAY, Classic, Native

HERE = pathlib.Path(__file__).parent

# In the order in which one reads them.
ROWS = (
    ("What clients see", traffic.clients),
    ("Providers and models", traffic.providers),
    ("Failover", traffic.failover),
    ("Latency", traffic.latency),
    ("Rate limits", traffic.limits),
    ("The gateway itself", upkeep.gateway),
    ("Spend and tokens", upkeep.money),
    ("Response cache", upkeep.cache),
    ("Memory and CPU", upkeep.process),
    ("The monitor's own health", upkeep.monitor),
)


def arranged(ask):
    """All panels from left to right and from top to bottom, below the title of their row."""
    panels, top = [], 0
    for title, of in ROWS:
        panels.append(
            {
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": top, "w": 24, "h": 1},
                "panels": [],
            }
        )
        left, top, high = 0, top + 1, 0
        for each in of(ask):
            place = each["gridPos"]
            if left + place["w"] > 24:
                left, top, high = 0, top + high, 0
            each["gridPos"] = {"x": left, "y": top, **place}
            left, high = left + place["w"], max(high, place["h"])
            panels.append(each)
        top += high
    for number_of, each in enumerate(panels, 1):
        each["id"] = number_of
    return panels


def choice(name, label, query, several=True):
    """A variable that has the values of a label."""
    found = {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "definition": query,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor"},
        # On each change of the time, since services come and go.
        "refresh": 2,
        "sort": 1,
        "multi": several,
        "includeAll": several,
        "current": {},
        "options": [],
    }
    if several:
        # Also what has no such label.
        found["allValue"] = ".*"
        found["current"] = {"selected": True, "text": ["All"], "value": ["$__all"]}
    return found


def variables(ask):
    anything, attempts = "aimux_monitor_events_offered_total", ask.series(ATTEMPTS)
    objectives = ("0.99", "0.995", "0.999")
    return [
        {
            "type": "datasource",
            "name": "datasource",
            "label": "Data source",
            "query": "prometheus",
            "current": {},
            "options": [],
        },
        choice("job", "Service", f"label_values({anything}, job)", several=False),
        choice("instance", "Instance", f'label_values({anything}{{job="$job"}}, instance)'),
        choice(
            "provider",
            "Provider",
            f"label_values({attempts}{{{GATEWAY}}}, gen_ai_provider_name)",
        ),
        choice(
            "model",
            "Model",
            f'label_values({attempts}{{{GATEWAY},gen_ai_provider_name=~"$provider"}},'
            " gen_ai_request_model)",
        ),
        {
            "type": "custom",
            "name": "objective",
            "label": "Objective",
            "query": ", ".join(objectives),
            "current": {"selected": True, "text": "0.995", "value": "0.995"},
            "options": [
                {"selected": value == "0.995", "text": value, "value": value}
                for value in objectives
            ],
            "multi": False,
            "includeAll": False,
        },
    ]


def dashboard(ask):
    return {
        "uid": ask.uid,
        "title": ask.title,
        "description": "How AI providers treat the gateway, and how it treats its clients. The"
        " data source has to know how often metrics are scraped or pushed.",
        "tags": ["ai-gateway", "aimux-otel"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "templating": {"list": variables(ask)},
        "annotations": {"list": []},
        "links": [],
        "panels": arranged(ask),
    }


def main():
    parser = argparse.ArgumentParser(description="Writes the dashboards.")
    parser.add_argument("--check", action="store_true", help="only compare with what is there")
    check = parser.parse_args().check
    differ = False
    for ask in (Classic, Native):
        path = HERE / ask.file
        text = json.dumps(dashboard(ask), indent=2, ensure_ascii=False) + "\n"
        if not check:
            path.write_text(text, encoding="utf-8")
            continue
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        difference = difflib.unified_diff(
            there.splitlines(True), text.splitlines(True), ask.file, "as generated"
        )
        for line in difference:
            differ = True
            sys.stdout.write(line)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
