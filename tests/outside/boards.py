"""Asks a Prometheus server everything that a dashboard asks, and says what has no answer.

    python3 tests/outside/boards.py http://127.0.0.1:9090 --service gateway \\
        deploy/grafana/gateway-classic.json

Prints a line for each panel and each variable: how many queries it has, how many series came, and
one value. Fails if a query is refused, has no answer, or only NaN. Since many a query makes a zero
of nothing, it also fails if there is no such metric: not among those of the crate, or not in the
server, unless `--without` says that this service does not tell it.
"""

import argparse
import json
import math
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

NAMES = pathlib.Path(__file__).parents[2] / "src" / "names.rs"
# What Prometheus adds to a name: for parts of a histogram, for a counter, and for a unit.
ENDING = re.compile(r"_(bucket|count|sum|total|seconds|bytes|ratio)$")
LABEL_VALUES = re.compile(r"label_values\((.+), *(\w+)\)")
PROMETHEUS_LABELS = {"job", "instance", "le"}
PERIOD, STEP = 60, 15


class Failure(Exception):
    """Why a query is no good."""


class Prometheus:
    def __init__(self, address):
        self.address = address.rstrip("/")

    def ask(self, path, **parameters):
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                answered = json.load(answer)
        except urllib.error.HTTPError as error:
            raise Failure(error.read().decode("utf-8", "replace").strip()) from error
        if answered["status"] != "success" or answered.get("warnings"):
            raise Failure(json.dumps(answered)[:500])
        # That a histogram was asked as a number, say; that classic buckets are a little off is not.
        wrong = [info for info in answered.get("infos", []) if "monotonicity" not in info]
        if wrong:
            raise Failure("; ".join(wrong))
        return answered["data"]

    def values(self, query, instant, now):
        """The values of each series, oldest first; a histogram is worth its count."""
        if instant:
            data = self.ask("query", query=query, time=now)
        else:
            data = self.ask("query_range", query=query, start=now - PERIOD, end=now, step=STEP)
        if data["resultType"] in ("scalar", "string"):
            return [[float(data["result"][1])]]
        series = []
        for one in data["result"]:
            numbers = one.get("values") or ([one["value"]] if "value" in one else [])
            histograms = one.get("histograms") or (
                [one["histogram"]] if "histogram" in one else []
            )
            found = [(at, float(text)) for at, text in numbers]
            found += [(at, float(histogram["count"])) for at, histogram in histograms]
            series.append([value for _, value in sorted(found)])
        return series


def substituted(query, variables):
    """`query` with the values of Grafana's variables."""
    for name, value in sorted(variables.items(), key=lambda pair: -len(pair[0])):
        query = re.sub(rf"\${name}\b|\$\{{{name}(:\w+)?\}}", lambda _, to=value: to, query)
    if "$" in query:
        raise Failure("a variable is left over")
    return query


def panels_of(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def metrics_of(query):
    return set(re.findall(r"([a-zA-Z_:][\w:]*)(?=\{)", query))


def labels_of(query):
    grouped = ",".join(re.findall(r"\bby \(([^)]*)\)", query)).split(",")
    matched = re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query)
    return {label.strip() for label in grouped if label} | set(matched)


def known_names(text):
    """The crate's metrics and attributes, as Prometheus writes them but for endings."""
    return {name.replace(".", "_") for name in re.findall(r'"([a-z_]+(?:\.[a-z_]+)+)"', text)}


def is_known(metric, names):
    """Whether it is one of `names`, with what Prometheus adds to it."""
    while metric not in names:
        shorter = ENDING.sub("", metric)
        if shorter == metric:
            return False
        metric = shorter
    return True


class Check:
    """One time through a dashboard."""

    def __init__(self, prometheus, dashboard, variables, without):
        self.prometheus, self.dashboard = prometheus, dashboard
        self.variables, self.without = variables, without
        self.now = time.time()
        self.crate = known_names(NAMES.read_text(encoding="utf-8"))
        self.stored = set(prometheus.ask("label/__name__/values"))
        self.rows, self.failures = [], []

    def run(self):
        for variable in self.dashboard["templating"]["list"]:
            if variable["type"] == "query":
                self.variable(variable)
        for panel in panels_of(self.dashboard):
            if panel["type"] != "row":
                self.panel(panel)
        if not any(kind == "panel" for kind, *_ in self.rows):
            self.failures.append(("the dashboard", "", "it has no panel"))
        for metric in sorted(self.without & self.stored):
            self.failures.append((f"--without {metric}", "", "the server has it"))
        return self

    def variable(self, variable):
        query = variable["query"]["query"]
        found = []
        try:
            asked = LABEL_VALUES.fullmatch(substituted(query, self.variables))
            if asked is None:
                raise Failure("not understood")
            self.names(asked[1] if "{" in asked[1] else asked[1] + "{}")
            found = self.prometheus.ask(
                f"label/{asked[2]}/values",
                **{"match[]": asked[1], "start": self.now - PERIOD, "end": self.now},
            )
            if not found:
                raise Failure("no values")
        except Failure as failure:
            self.failures.append((f"variable {variable['name']}", query, failure))
        self.rows.append(("variable", variable["name"], 1, len(found), ", ".join(found[:3])))

    def panel(self, panel):
        count, sample = 0, ""
        for target in panel["targets"]:
            query = target["expr"]
            try:
                series = self.target(query, target.get("instant", False))
            except Failure as failure:
                self.failures.append((panel["title"], query, failure))
                continue
            count += len(series)
            usable = (values[-1] for values in series if values and not math.isnan(values[-1]))
            sample = sample or "".join(f"{value:.4g}" for value in list(usable)[:1])
        if not panel["fieldConfig"]["defaults"].get("unit"):
            self.failures.append((panel["title"], "", "no unit"))
        if not panel.get("description"):
            self.failures.append((panel["title"], "", "no description"))
        self.rows.append(("panel", panel["title"], len(panel["targets"]), count, sample))

    def target(self, query, instant):
        asked = substituted(query, self.variables)
        metrics = self.names(asked)
        series = self.prometheus.values(asked, instant, self.now)
        if not series and metrics & self.without:
            return series
        if not series:
            raise Failure("no data")
        if all(math.isnan(value) for values in series for value in values):
            raise Failure("only NaN")
        return series

    def names(self, query):
        """The metrics of `query`, which the crate and the server have, and so its labels."""
        metrics = metrics_of(query)
        if not metrics:
            raise Failure("no metric")
        unknown = sorted(name for name in metrics if not is_known(name, self.crate))
        unknown += sorted(labels_of(query) - self.crate - PROMETHEUS_LABELS)
        if unknown:
            raise Failure(f"the crate has no {', '.join(unknown)}")
        lacking = sorted(metrics - self.stored - self.without)
        if lacking:
            raise Failure(f"the server has no {', '.join(lacking)}")
        return metrics


def printed(check):
    width = max(len(title) for _, title, *_ in check.rows)
    print(f"{'':<8}  {'title':<{width}}  queries  series  a value")
    for kind, title, queries, series, sample in check.rows:
        print(f"{kind:<8}  {title:<{width}}  {queries:>7}  {series:>6}  {sample}")
    for title, query, reason in check.failures:
        print(f"FAILED  {title}: {reason}\n        {query}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("prometheus", help="its base URL")
    parser.add_argument("dashboard", type=pathlib.Path, help="the JSON of a dashboard")
    parser.add_argument("--service", required=True, help="the value of the label job")
    parser.add_argument("--interval", default="15s", help="for $__rate_interval [15s]")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="METRIC",
        help="what this service does not tell",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=0,
        metavar="SECONDS",
        help="how long to ask again while something fails [0]",
    )
    options = parser.parse_args()
    dashboard = json.loads(options.dashboard.read_text(encoding="utf-8"))
    variables = {
        "__rate_interval": options.interval,
        "__interval": f"{STEP}s",
        "__range": f"{PERIOD}s",
    }
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            variables[variable["name"]] = ".*"
        elif variable["type"] == "custom":
            variables[variable["name"]] = variable["current"]["value"]
    variables["job"] = options.service

    until = time.monotonic() + options.patience
    while True:
        prometheus = Prometheus(options.prometheus)
        check = Check(prometheus, dashboard, variables, set(options.without)).run()
        if not check.failures or time.monotonic() >= until:
            break
        time.sleep(2)
    printed(check)
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
