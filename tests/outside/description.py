"""Hooks for schemathesis: counts its cases, and checks what it does not.

A refusal is a problem that names what is wrong and what is allowed, it leaves the configuration
as it was, and what the description allows is refused only for what a description cannot say.
"""

import atexit
import json
import os
import re

import requests
import schemathesis

CONFIG = "/performance/config"
PROBLEM = "application/problem+json"
MEMBERS = {"type", "title", "status", "detail", "field", "allowed"}
# What depends on the state: a length of time on the retention, the number of rules on those that
# are there, a metric on its scope. A name that is not known is not found.
DEPENDS = re.compile(
    r"window|step|scope|metric|since|retention_seconds|collection_interval_seconds"
    r"|alert_thresholds|alert_thresholds\[\d+\]\.(window|for|id|scope|metric)"
)

counted = {"cases": 0, "refused": 0, "compared": 0, "changed": 0}
before = None
session = requests.Session()


def configuration(case):
    answer = session.get(url(case), timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


def url(case):
    return case.operation.base_url.rstrip("/") + CONFIG


def set_back(case, configuration):
    """Long windows are to be had again, and no rule is left."""
    rules = [{"id": rule["id"], "remove": True} for rule in configuration["alert_thresholds"]]
    change = {"collection_interval_seconds": 5, "retention_seconds": 86400}
    answer = session.post(url(case), json={**change, "alert_thresholds": rules}, timeout=10)
    assert answer.status_code == 200, answer.text
    assert answer.json()["alert_thresholds"] == [], answer.text


@schemathesis.hook
def before_call(context, case, kwargs):
    global before
    before = configuration(case) if case.operation.path == CONFIG else None


@schemathesis.hook
def after_call(context, case, response):
    counted["cases"] += 1


@schemathesis.check
def a_refusal_is_a_problem(ctx, response, case):
    if response.status_code < 400:
        return
    counted["refused"] += 1
    # What asks for the head alone is not told more.
    if response.request.method == "HEAD":
        return
    content_type = response.headers["content-type"][0]
    assert content_type == PROBLEM, f"{response.status_code} as {content_type}"
    problem = response.json()
    assert problem["status"] == response.status_code, problem
    assert set(problem) <= MEMBERS, problem
    assert all(isinstance(problem[text], str) for text in ("type", "title", "detail")), problem
    if 400 <= response.status_code < 500:
        assert problem["field"] or response.status_code == 400, problem
        assert isinstance(problem["allowed"], list), problem


@schemathesis.check
def a_refusal_changes_nothing(ctx, response, case):
    if case.operation.path != CONFIG or before is None:
        return
    after = configuration(case)
    if response.status_code >= 400 or response.request.method != "POST":
        counted["compared"] += 1
        assert after == before, f"before: {before}\nafter: {after}"
    else:
        counted["changed"] += 1
        assert response.json() == after, f"told: {response.json()}\nafter: {after}"
        set_back(case, after)


@schemathesis.check
def what_is_described_is_refused_only_for_the_state(ctx, response, case):
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive:
        return
    refused = 400 <= response.status_code < 500 and response.status_code != 404
    if refused and response.request.method != "HEAD":
        problem = response.json()
        assert DEPENDS.fullmatch(problem.get("field", "")), problem


@atexit.register
def tell():
    with open(os.environ["AIMUX_COUNTED"], "w", encoding="utf-8") as file:
        json.dump(counted, file)
