"""The engine's state in Prometheus' text format, under vLLM's names."""

from ttc_servers.embedded.engine import Engine


def render(engine: Engine, model: str) -> str:
    """Return the body of `GET /metrics`."""
    counters = engine.counters
    lines: list[str] = []

    def add(name: str, kind: str, values: dict[str, float]) -> None:
        lines.append(f"# TYPE vllm:{name} {kind}")
        lines.extend(
            f'vllm:{name}{{engine="0",model_name="{model}"{label}}} {value}'
            for label, value in values.items()
        )

    add("num_requests_running", "gauge", {"": engine.num_running})
    add("num_requests_waiting", "gauge", {"": engine.num_waiting})
    add("kv_cache_usage_perc", "gauge", {"": engine.cache_usage})
    add("prefix_cache_queries_total", "counter", {"": counters.prompt_tokens})
    add("prefix_cache_hits_total", "counter", {"": counters.cached_tokens})
    add("prompt_tokens_total", "counter", {"": counters.prompt_tokens})
    add("generation_tokens_total", "counter", {"": counters.generation_tokens})
    add(
        "request_success_total",
        "counter",
        {f',finished_reason="{reason}"': count for reason, count in counters.finished.items()},
    )
    return "\n".join(lines) + "\n"
