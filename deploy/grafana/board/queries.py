"""What is asked: the expressions of both dashboards, and the two ways to ask a histogram."""

# The metrics that are asked more than once.
OPERATIONS = "http_server_request_duration_seconds"
ATTEMPTS = "gen_ai_client_operation_duration_seconds"
FIRST_CHUNK = "gen_ai_client_operation_time_to_first_chunk_seconds"
CHUNKS = "gen_ai_client_operation_time_per_output_chunk_seconds"
TOKENS = "gen_ai_client_token_usage"
OVERHEAD = "aimux_operation_overhead_seconds"
COMPONENTS = "aimux_component_duration_seconds"

# What is chosen at the top. A metric of the gateway as a whole knows no provider.
GATEWAY = 'job="$job",instance=~"$instance"'
MODEL = 'gen_ai_provider_name=~"$provider",gen_ai_request_model=~"$model"'
MODELS = f"{GATEWAY},{MODEL}"

# What series are told apart by, and how a legend names them.
BY_MODEL = ("gen_ai_provider_name", "gen_ai_request_model")
NAMED_MODEL = "{{gen_ai_provider_name}} {{gen_ai_request_model}}"

# Over how long a rate is taken: as short as it can be, or all that is shown.
SHORT = "$__rate_interval"
SHOWN = "$__range"

# Whose fault a failure is, by its error type, and without one by its status: the table of the
# README.
CALLER = (
    "invalid_request|authentication|permission_denied|not_found|context_length_exceeded|cancelled"
    "|4(0[013-79]|1.|2[0-8]|[346-9].|5[02-9])"
)
POLICY = "gateway_rate_limited|budget_exceeded|content_filtered|quota_exceeded|402|451"
PROVIDER = (
    "rate_limited|overloaded|timeout|connection_refused|connection_reset|stream_broken|dns|tls"
    "|408|429|5.."
)
OURS = "internal"


class Classic:
    """Of histograms with buckets, as `/metrics` has them."""

    file = "gateway-classic.json"
    uid = "aimux-gateway-classic"
    title = "AI gateway"

    @staticmethod
    def series(metric):
        return f"{metric}_count"

    @staticmethod
    def count(metric, *conditions, by=(), over=SHORT):
        """How many were observed per second."""
        return rate(f"{metric}_count", *conditions, by=by, over=over)

    @staticmethod
    def amount(metric, *conditions, by=(), over=SHORT):
        """The sum of what was observed, per second."""
        return rate(f"{metric}_sum", *conditions, by=by, over=over)

    @staticmethod
    def quantile(of, metric, *conditions, by=()):
        return f"histogram_quantile({of}, {rate(f'{metric}_bucket', *conditions, by=('le', *by))})"

    @staticmethod
    def buckets(metric, *conditions):
        """What a heat map is drawn of."""
        return rate(f"{metric}_bucket", *conditions, by=("le",))


class Native:
    """Of native histograms, which are what exponential ones become in Prometheus."""

    file = "gateway-native.json"
    uid = "aimux-gateway-native"
    title = "AI gateway (native histograms)"

    @staticmethod
    def series(metric):
        return metric

    @staticmethod
    def count(metric, *conditions, by=(), over=SHORT):
        return f"histogram_count({rate(metric, *conditions, by=by, over=over)})"

    @staticmethod
    def amount(metric, *conditions, by=(), over=SHORT):
        return f"histogram_sum({rate(metric, *conditions, by=by, over=over)})"

    @staticmethod
    def quantile(of, metric, *conditions, by=()):
        return f"histogram_quantile({of}, {rate(metric, *conditions, by=by)})"

    @staticmethod
    def buckets(metric, *conditions):
        return rate(metric, *conditions)


def counted(function, metric, *conditions, by=(), over=SHORT):
    """What fulfils any of `conditions`, none of which may overlap."""
    parts = (f"{function}({metric}{{{condition}}}[{over}])" for condition in conditions)
    grouped = f"sum by ({', '.join(by)}) " if by else "sum"
    return f"{grouped}({' or '.join(parts)})"


def rate(metric, *conditions, by=(), over=SHORT):
    return counted("rate", metric, *conditions, by=by, over=over)


def increase(metric, *conditions, by=(), over=SHOWN):
    return counted("increase", metric, *conditions, by=by, over=over)


def or_none(expression):
    """Zero where there is nothing, for what is not there as long as all is well."""
    return f"{expression} or on() vector(0)"


def share(part, whole):
    """`part` of `whole`, and 0 where there is nothing of `part`."""
    return f"({part} or 0 * {whole}) / {whole}"


def failed(pattern):
    """The operations that failed by the fault which `pattern` stands for."""
    return (
        f'{GATEWAY},error_type=~"{pattern}"',
        f'{GATEWAY},error_type="",http_response_status_code=~"{pattern}"',
    )


FAILED = (
    f'{GATEWAY},error_type!=""',
    f'{GATEWAY},error_type="",http_response_status_code=~"[45].."',
)
# All but what is the caller's fault or that of a rule: what the objective is about.
FAILED_BY_US = (
    f'{GATEWAY},error_type!="",error_type!~"{CALLER}|{POLICY}"',
    f'{GATEWAY},error_type="",http_response_status_code=~"{PROVIDER}"',
)
UNKNOWN_FAULT = f'{GATEWAY},error_type!="",error_type!~"{CALLER}|{POLICY}|{PROVIDER}|{OURS}"'
