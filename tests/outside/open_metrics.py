"""Reads both forms of `/metrics` with Prometheus' own Python parsers, and compares them.

Prints how many samples and exemplars there are.
"""

import re
import sys
import urllib.request

from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_text

OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def fetch(url, accept):
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read().decode("utf-8")


def samples_of(families, text):
    """The value of each sample of `text`, and the type of its family."""
    names = set(re.findall("^[a-zA-Z_:][a-zA-Z0-9_:]*", text, re.MULTILINE))
    samples = {}
    for family in families:
        for sample in family.samples:
            labels = dict(sample.labels)
            for bound in ("le", "quantile"):
                if bound in labels:
                    labels[bound] = float(labels[bound])
            name = sample.name
            # The parser of the text form gives each counter this ending.
            if name not in names:
                name = name.removesuffix("_total")
            key = (name, tuple(sorted(labels.items())))
            assert key not in samples, f"twice: {key}"
            samples[key] = (str(sample.value), family.type)
    return samples


def check_exemplars(families):
    """Each is in its bucket and names a span of a trace; how many there are."""
    count = 0
    for family in families:
        lower, series = float("-inf"), None
        for sample in family.samples:
            if family.type != "histogram" or not sample.name.endswith("_bucket"):
                assert sample.exemplar is None, sample
                continue
            labels = {k: v for k, v in sample.labels.items() if k != "le"}
            lower, series = (lower if labels == series else float("-inf")), labels
            upper = float(sample.labels["le"])
            if sample.exemplar is not None:
                count += 1
                exemplar = sample.exemplar
                assert lower < exemplar.value <= upper, sample
                assert set(exemplar.labels) == {"trace_id", "span_id"}, sample
                assert re.fullmatch("[0-9a-f]{32}", exemplar.labels["trace_id"]), sample
                assert re.fullmatch("[0-9a-f]{16}", exemplar.labels["span_id"]), sample
                assert float(exemplar.timestamp) > 1.7e9, sample
            lower = upper
    return count


def main(url):
    content_type, before = fetch(url, "text/plain")
    assert content_type.startswith("text/plain; version=0.0.4"), content_type
    content_type, text = fetch(url, "application/openmetrics-text;version=1.0.0")
    assert content_type == OPEN_METRICS, content_type
    assert text.endswith("\n# EOF\n")
    _, after = fetch(url, "text/plain")

    families = list(read_open_metrics(text))
    samples = samples_of(families, text)
    before, after = (samples_of(read_text(form), form) for form in (before, after))
    # What the process takes changes from one scrape to the next.
    still = {key for key in before if after.get(key) == before[key]}
    assert len(still) > len(before) * 0.8, (len(still), len(before))
    for key in still:
        value, kind = before[key]
        assert key in samples, f"only in the text form: {key}"
        assert samples[key][0] == value, (key, value, samples[key])
        assert samples[key][1] in (kind, "unknown"), (key, kind, samples[key])
    unknown = set(samples) - set(before) - set(after)
    assert not unknown, f"only in OpenMetrics: {unknown}"
    print(len(samples), check_exemplars(families))


main(sys.argv[1])
