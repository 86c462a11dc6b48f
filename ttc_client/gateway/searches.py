"""Run the searches of a process by its one client, and count them."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from ttc_client.clients.calls import is_json
from ttc_client.errors import (
    ContextLengthError,
    RequestError,
    TransientServerError,
    TTCError,
)
from ttc_client.gateway.admission import Desk
from ttc_client.gateway.asked import Asked
from ttc_client.gateway.health import Health
from ttc_client.gateway.keys import Key
from ttc_client.gateway.metrics import Metrics
from ttc_client.gateway.profiles import Profile
from ttc_client.gateway.refusals import RefusedError
from ttc_client.gateway.replies import Answered
from ttc_client.gateway.votes import decide
from ttc_client.middleware.meter import Meter
from ttc_client.runtime.bounds import Bounds
from ttc_client.runtime.client import Client
from ttc_client.search.ballot import Ballot
from ttc_client.search.watch import Watch
from ttc_client.together import stopped
from ttc_client.types import SearchResult

LOG = logging.getLogger("ttc_client.gateway")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and how long an answer may take from now on; None: as long as it takes."""

    key: Key | None = None
    deadline_s: float | None = None


@dataclass(slots=True)
class Searches:
    """All searches of the process: the client, its profiles, who is admitted, and the counts.

    `gives_logprobs` is whether the policy's server has refused no log-probabilities yet.
    """

    client: Client
    profiles: Mapping[str, Profile]
    desk: Desk
    health: Health
    metrics: Metrics
    gives_logprobs: bool = True

    @property
    def model(self) -> str:
        """What the policy's model is called."""
        return self.client.models["policy"] or "policy"

    async def check(self, asked: Asked) -> None:
        """Raise ConfigError for a search that cannot be run here, ServerError if it has no server.

        Prepares nothing: all that a request can be refused for comes before its first byte.
        """
        self.client.check(asked.params)
        await self.health.check()

    async def run(
        self,
        asked: Asked,
        caller: Caller,
        meter: Meter | None = None,
        watch: Watch | None = None,
        ballot: Ballot | None = None,
    ) -> Answered:
        """Run a search to its end, or to a bound; raises RefusedError, ServerError, TimeoutError.

        `meter`, `watch` and `ballot` are as in `Client.solve`. Whoever cancels it cancels its
        requests at the servers.
        """
        meter, began_s = meter or Meter(), asyncio.get_running_loop().time()
        outcome, profile = "cancelled", asked.profile.name
        try:
            async with self.desk.place(caller.key):
                waited_s = asyncio.get_running_loop().time() - began_s
                bounds = _bounds(asked, caller, waited_s)
                result = await self._searched(asked, meter, watch, ballot, bounds)
            answered = _answered(asked, result, bounds)
            outcome = bounds.reached or "answered"
        except RefusedError as error:
            outcome = "refused" if error.status == 429 else "failed"
            raise
        except (TTCError, TimeoutError):
            outcome = "failed"
            raise
        except Exception:
            outcome = "crashed"
            raise
        finally:
            self.metrics.count("ttc_searches_total", profile=profile, outcome=outcome)
            self._count(meter, caller.key)
        self._observe(answered, asyncio.get_running_loop().time() - began_s)
        return answered

    async def _searched(
        self,
        asked: Asked,
        meter: Meter,
        watch: Watch | None,
        ballot: Ballot | None,
        bounds: Bounds,
    ) -> SearchResult:
        """Search, and give up once the servers have been down for long."""
        search = asyncio.create_task(self._solved(asked, meter, watch, ballot, bounds))
        gone = asyncio.create_task(self.health.gone.wait())
        try:
            await asyncio.wait((search, gone), return_when=asyncio.FIRST_COMPLETED)
            if not search.done():
                raise self.health.failure or TransientServerError("the servers are gone", url="")
            return search.result()
        finally:
            await stopped((search, gone))

    async def _solved(
        self,
        asked: Asked,
        meter: Meter,
        watch: Watch | None,
        ballot: Ballot | None,
        bounds: Bounds,
    ) -> SearchResult:
        """Search, with log-probabilities where they may decide, unless the server refuses them."""
        solve = partial(
            self.client.judging(asked.task).solve,
            asked.problem,
            asked.params,
            meter=meter,
            watch=watch,
            ballot=ballot,
            bounds=bounds,
        )
        if not (self.gives_logprobs and asked.task.may_end_without_vote):
            return await solve()
        try:
            return await solve(logprobs=True)
        except ContextLengthError:
            raise
        except RequestError:
            result = await solve()
        self.gives_logprobs = False
        return result

    def _count(self, meter: Meter, key: Key | None) -> None:
        self.desk.spend(key, meter.usage.completion_tokens)
        for causes in (meter.usage.retries, meter.usage.failures):
            for cause, number in causes.items():
                self.metrics.count("ttc_upstream_errors_total", number, cause=cause)

    def _observe(self, answered: Answered, wall_s: float) -> None:
        result, profile = answered.result, answered.asked.profile.name
        self.metrics.observe("ttc_answer_seconds", wall_s, profile=profile)
        tokens = result.usage.completion_tokens
        self.metrics.observe("ttc_answer_tokens", tokens, profile=profile)
        is_decided = result.note.startswith("decided")
        if reason := answered.ended_by or ("decided" if is_decided else ""):
            self.metrics.count("ttc_early_stops_total", profile=profile, reason=reason)


def _bounds(asked: Asked, caller: Caller, waited_s: float) -> Bounds:
    """Return what ends a search; raises RefusedError if it has waited for too long."""
    if caller.deadline_s is None:
        return Bounds(tokens=asked.limit)
    left_s = caller.deadline_s - waited_s
    if left_s <= 0:
        raise RefusedError(
            f"the deadline of {caller.deadline_s:g} s passed while the search waited for a place",
            status=429,
            code="rate_limit_exceeded",
            retry_after_s=1,
        )
    return Bounds(left_s, asked.limit)


def _answered(asked: Asked, result: SearchResult, bounds: Bounds) -> Answered:
    """Decide; raises RefusedError where no candidate is of use."""
    decision = decide(result, asked.n, asked.task)
    if not decision.winners:
        raise RefusedError("the search has no completion", status=502, code="no_completion")
    best = decision.winners[0]
    if asked.task.form == "json" and best.finish_reason == "stop" and not is_json(best.said):
        raise RefusedError(
            "no candidate is the JSON that response_format asks for; does the policy think before "
            "it answers? Then its server must keep the format to what follows the thoughts",
            status=502,
            code="unusable_format",
        )
    return Answered(asked, result, decision, bounds.reached)
