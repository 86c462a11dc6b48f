"""Run its_hub's beam search on the problems given on stdin; started by `compare_its_hub.py`.

It runs under a Python that has `its_hub[lm]` and need not have this project. Prints a line once
its imports are done, searches when a line of JSON arrives, and prints the seconds that it took.
"""

import asyncio
import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import aiohttp
from its_hub.api import AbstractProcessRewardModel
from its_hub.core.algorithms.beam_search import BeamSearch
from its_hub.core.lms.openai_lm import OpenAICompatibleLanguageModel
from its_hub.core.lms.step_generation import StepGeneration

sys.path.insert(0, str(Path(__file__).parents[2]))  # these modules need nothing that is installed

from ttc_client.clients.prompts import (
    RLHFLOW_APPROVAL,
    RLHFLOW_SYSTEM,
    rlhflow_question,
)
from ttc_client.search.steps import split_steps
from ttc_client.tasks.prompts import META_MATH_SYSTEM_PROMPT


class ServedPRM(AbstractProcessRewardModel):
    """An RLHFlow PRM behind vLLM's `/generative_scoring`: a solution's reward is its last step's.

    All solutions of a level go in one request, and every prefix is found in the server's cache.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, labels: list[int]) -> None:
        self.session, self.url, self.labels = session, url, labels

    async def ascore(self, prompt_or_messages: Any, steps: list[str]) -> list[float]:
        """Return a reward for each solution."""
        body = {
            "query": RLHFLOW_SYSTEM,
            "items": [_conversation(str(prompt_or_messages), solution) for solution in steps],
            "label_token_ids": self.labels,
            "apply_softmax": True,
        }
        path = "/generative_scoring"
        async with self.session.post(self.url + path, json=body, raise_for_status=True) as reply:
            data = (await reply.json())["data"]
        return [item["score"] for item in sorted(data, key=lambda item: item["index"])]

    def score(self, prompt_or_messages: Any, steps: list[str]) -> list[float]:
        """Return the same; the search does not ask so."""
        return asyncio.run(self.ascore(prompt_or_messages, steps))


def _conversation(problem: str, solution: str) -> str:
    steps = split_steps(solution) or ("",)
    turns = [rlhflow_question(problem, i, step) for i, step in enumerate(steps)]
    return RLHFLOW_APPROVAL.join(turns)


async def search(job: dict[str, Any]) -> float:
    """Search all problems, some at once; return the seconds."""
    generation = StepGeneration(
        step_token="\n\n", max_steps=job["max_steps"], stop_token=r"\boxed", temperature=0.8
    )
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        OpenAICompatibleLanguageModel(
            endpoint=job["policy"] + "/v1",
            api_key="none",
            model_name=job["model"],
            system_prompt=META_MATH_SYSTEM_PROMPT,
            max_completion_tokens=job["max_tokens"],
        ) as policy,
    ):
        beam = BeamSearch(generation, ServedPRM(session, job["prm"], job["labels"]), job["m"])
        room = asyncio.Semaphore(job["at_once"])

        async def one(problem: str) -> None:
            async with room:
                await beam.ainfer(policy, problem, budget=job["n"])

        start = time.perf_counter()
        await asyncio.gather(*map(one, job["problems"]))
        return time.perf_counter() - start


def main() -> None:
    """Search for each job on stdin."""
    warnings.simplefilter("ignore", DeprecationWarning)  # its own calls
    logging.disable(logging.INFO)
    print("ready", flush=True)
    for line in sys.stdin:
        print(asyncio.run(search(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
