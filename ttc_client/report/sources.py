"""Say where results come from: the models that searched, the settings, and what went wrong."""

from collections.abc import Sequence

from ttc_client.bench.runs import Run, Settings
from ttc_client.report.terminal import retries
from ttc_client.types import SearchResult, Usage

DEMO = (
    "The demo models searched: a Llama of two million parameters and a PRM, trained for ttc_client "
    "on generated problems. These numbers say how the strategies behave there, not how real "
    "models do."
)
DEMO_POLICY_PARAMS, DEMO_PRM_PARAMS = 2.5e6, 3.6e6
"""How many parameters they have."""


def models(policies: Sequence[str], prms: Sequence[str | None]) -> str:
    """Name the models: "Policy: A. PRM: B."."""
    named = [("Policy", policies), ("PRM", prms)]
    found = [(role, list(dict.fromkeys(name for name in names if name))) for role, names in named]
    return " ".join(f"{role}: {', '.join(names) or 'none'}." for role, names in found)


def sources(runs: Sequence[Run]) -> list[str]:
    """Name the models of some runs; of imported ones they are not known."""
    searched = [run.settings for run in runs if not run.settings.get("imported")]
    lines: list[str] = []
    if searched:
        lines.append(
            models(
                [str(found.get("policy") or "not known") for found in searched],
                [str(found.get("prm") or "") for found in searched],
            )
        )
    if len(searched) < len(runs):
        imported = [run.path.name for run in runs if run.settings.get("imported")]
        lines.append(f"Imported, by models that are not known: {', '.join(imported)}.")
    return lines


def is_demo(settings: Settings) -> bool:
    """Say whether the demo models searched, started by this package or named by their URLs."""
    return settings.get("demo") is True or "ttc-demo" in str(settings.get("policy", ""))


def is_demo_search(result: SearchResult) -> bool:
    """Say whether the demo models searched."""
    return result.demo or "ttc-demo" in result.policy


def summary(runs: Sequence[Run]) -> list[str]:
    """Say of each run what it searched, and what its requests went through."""
    lines: list[str] = []
    for run in runs:
        settings = run.settings
        failed = f", {len(run.failed)} failed" if run.failed else ""
        lines.append(
            f"{run.path.name}: {len(run.problems):,} problems of {settings.get('dataset')}; "
            f"{_how(settings)}{len(run.records):,} searches finished{failed}{_retries(run)}"
        )
    return lines


def _retries(run: Run) -> str:
    said = retries(sum((cost.usage for cost in run.costs.values()), Usage()))
    return f"; {said}" if said else ""


def _how(settings: Settings) -> str:
    """Say by whose rules a run searched, and with what settings."""
    compat = settings.get("compat")
    rules = f"--compat {compat}; " if compat else ""
    if settings.get("imported"):
        return f"imported; {rules}"
    known = {"M": settings.get("m"), "T": settings.get("temperature")}
    said = ", ".join(f"{name}={value}" for name, value in known.items() if value is not None)
    return f"{said}; {rules}" if said else rules
