"""Talks to the gateway with the official packages, and prints what was counted as JSON."""

import json
import sys
from collections import Counter

import anthropic
import openai

OPENAI_ENDPOINT = "/v1/chat/completions"
ANTHROPIC_ENDPOINT = "/anthropic/v1/messages"
REQUESTS = 20

base = sys.argv[1]
counted = {
    endpoint: {"sent": 0, "succeeded": 0, "by_status": Counter()}
    for endpoint in (OPENAI_ENDPOINT, ANTHROPIC_ENDPOINT)
}


def count(endpoint, call):
    """Calls, and counts how it went. A stream that breaks counts as sent with its status."""
    counted[endpoint]["sent"] += 1
    try:
        call()
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        # An error inside a stream that has begun comes with the status of its beginning.
        counted[endpoint]["by_status"][str(error.response.status_code)] += 1
        return
    except (openai.OpenAIError, anthropic.AnthropicError):
        counted[endpoint]["by_status"]["200"] += 1
        return
    except Exception as error:  # the connection of a stream broke
        if "httpx" not in type(error).__module__ and "httpcore" not in type(error).__module__:
            raise
        counted[endpoint]["by_status"]["200"] += 1
        return
    counted[endpoint]["succeeded"] += 1
    counted[endpoint]["by_status"]["200"] += 1


gpt = openai.OpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0)
claude = anthropic.Anthropic(base_url=f"{base}/anthropic", api_key="none", max_retries=0)


def gpt_plain(n):
    answer = gpt.chat.completions.create(
        model="gpt-4o-mini", max_tokens=20, messages=[{"role": "user", "content": f"Question {n}"}]
    )
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens > 0


def gpt_stream(n):
    stream = gpt.chat.completions.create(
        model="llama3.1-8b",
        max_tokens=20,
        stream=True,
        stream_options={"include_usage": True},
        messages=[{"role": "user", "content": f"Stream {n}"}],
    )
    chunks = list(stream)
    assert any(chunk.choices and chunk.choices[0].delta.content for chunk in chunks)
    assert chunks[-1].usage.completion_tokens > 0


def gpt_unknown_model(_):
    gpt.chat.completions.create(
        model="no-such-model", messages=[{"role": "user", "content": "?"}]
    )


def claude_plain(n):
    answer = claude.messages.create(
        model="claude-haiku-4-5", max_tokens=20, messages=[{"role": "user", "content": f"Question {n}"}]
    )
    assert answer.content[0].text
    assert answer.usage.output_tokens > 0


def claude_stream(n):
    with claude.messages.stream(
        model="claude-sonnet-4-5", max_tokens=20, messages=[{"role": "user", "content": f"Stream {n}"}]
    ) as stream:
        assert "".join(stream.text_stream)
        assert stream.get_final_message().usage.output_tokens > 0


for n in range(REQUESTS):
    count(OPENAI_ENDPOINT, lambda: gpt_plain(n))
    count(OPENAI_ENDPOINT, lambda: gpt_stream(n))
    count(ANTHROPIC_ENDPOINT, lambda: claude_plain(n))
    count(ANTHROPIC_ENDPOINT, lambda: claude_stream(n))
count(OPENAI_ENDPOINT, lambda: gpt_unknown_model(0))

json.dump(counted, sys.stdout)
