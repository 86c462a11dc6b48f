"""Chat replies in OpenAI's shapes, whole or in chunks, and what `ttc` says beside them."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from ttc_client.gateway.asked import Asked
from ttc_client.gateway.refusals import RefusedError
from ttc_client.gateway.votes import Decision, ReplyTask, Winner, told_answer
from ttc_client.types import Candidate, SearchResult

Fields = dict[str, Any]
_PIECE = 48


def new_id(prefix: str) -> str:
    """Return an id that no other reply has."""
    return f"{prefix}{uuid.uuid4().hex}"


@dataclass(frozen=True, slots=True)
class Answered:
    """A search that has ended; `ended_by` is the bound that ended it, "" for its own end."""

    asked: Asked
    result: SearchResult
    decision: Decision
    ended_by: str = ""


class ChatReply:
    """One reply to a chat, whole or in chunks, which share an id."""

    end = b"data: [DONE]\n\n"

    def __init__(self, model: str, *, include_usage: bool = False) -> None:
        self._include_usage = include_usage
        self._is_opened = False
        self._head: Fields = {
            "id": new_id("chatcmpl-"),
            "created": int(time.time()),
            "model": model,
        }

    @property
    def idle(self) -> Fields:
        """A chunk that says nothing."""
        return self._chunk(0, {})

    def whole(self, answered: Answered) -> Fields:
        """Return the reply to an unstreamed request."""
        choices = [
            {
                "index": index,
                "message": message(winner),
                "logprobs": None,
                "finish_reason": winner.finish_reason,
            }
            for index, winner in enumerate(answered.decision.winners)
        ]
        made: Fields = {**self._head, "object": "chat.completion", "choices": choices}
        return {**made, "usage": usage(answered.result), "ttc": extension(answered)}

    def begun(self) -> Iterator[tuple[str, Fields]]:
        """Yield the chunk that begins the first choice."""
        yield "", self._first(0)

    def said(self, progress: str) -> Fields:
        """Return a chunk that tells how the search is going."""
        return self._chunk(0, {"reasoning_content": progress})

    def opened(self, winner: Winner) -> Iterator[tuple[str, Fields]]:
        """Yield the chunks of what the first choice says."""
        self._is_opened = True
        for delta in deltas(winner):
            yield "", self._chunk(0, delta)

    def rest(self, answered: Answered) -> Iterator[tuple[str, Fields]]:
        """Yield the chunks that follow: of each choice in turn, then of the usage if asked for."""
        told: Fields = {"ttc": extension(answered)}
        for index, winner in enumerate(answered.decision.winners):
            if index:
                yield "", self._first(index)
                for delta in deltas(winner):
                    yield "", self._chunk(index, delta)
            elif not self._is_opened:
                yield from self.opened(winner)
            yield "", {**self._chunk(index, {}, winner.finish_reason), **told}
            told = {}
        if self._include_usage:
            last: Fields = {**self._chunk(0, {}), "choices": []}
            yield "", {**last, "usage": usage(answered.result)}

    def failed(self, error: RefusedError) -> tuple[Fields, str]:
        """Return the event of a failure after the first byte."""
        return error.body, ""

    def _first(self, index: int) -> Fields:
        return self._chunk(index, {"role": "assistant", "content": ""})

    def _chunk(self, index: int, delta: Fields, finish: str | None = None) -> Fields:
        piece = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        made: Fields = {**self._head, "object": "chat.completion.chunk", "choices": [piece]}
        return {**made, "usage": None} if self._include_usage else made


def message(winner: Winner) -> Fields:
    """Return a winner as the assistant's message."""
    made: Fields = {"role": "assistant", "content": winner.said, "refusal": None}
    if winner.thought:
        made["reasoning_content"] = winner.thought
    if winner.calls:
        made["tool_calls"] = [_call(*call) for call in winner.calls]
        made["content"] = winner.said or None
    return made


def deltas(winner: Winner) -> Iterator[Fields]:
    """Yield a winner's message in pieces; tool calls are numbered over the whole message."""
    for piece in pieces(winner.thought):
        yield {"reasoning_content": piece}
    for piece in pieces(winner.said):
        yield {"content": piece}
    for index, call in enumerate(winner.calls):
        yield {"tool_calls": [{"index": index, **_call(*call)}]}


def pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces that end with a word."""
    start = 0
    while start < len(text):
        end = text.find(" ", start + _PIECE) + 1 or len(text)
        yield text[start:end]
        start = end


def usage(result: SearchResult) -> Fields:
    """Return what the policy spent on the whole search."""
    spent = result.usage
    return {
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "total_tokens": spent.prompt_tokens + spent.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": spent.cached_tokens},
    }


def extension(answered: Answered) -> Fields:
    """Return what a search says of itself: `ttc`."""
    result, decision, task = answered.result, answered.decision, answered.asked.task
    spent = result.usage
    told: Fields = {
        "profile": answered.asked.profile.name,
        "strategy": result.strategy,
        "n": result.n,
        "m": result.m,
        "task": result.task or None,
        "seed": result.seed,
        "temperature": answered.asked.params.temperature,
        "decided_by": decision.by,
        "answer": told_answer(decision.winners[0].candidate.answer, task),
        "answers": [
            {
                "answer": told_answer(group.answer, task),
                "votes": group.votes,
                "reward_sum": group.reward_sum if result.prm else None,
                "reward_max": group.reward_max if result.prm else None,
            }
            for group in result.answers
        ],
        "winners": [_winner(winner.candidate, task) for winner in decision.winners],
        "shortfall": answered.asked.n - len(decision.winners),
        "counts": msgspec.to_builtins(result.counts),
        "verifier": {
            "tokens": spent.prm_tokens,
            "cached_tokens": spent.prm_cached_tokens,
            "requests": spent.prm_requests,
        },
        "policy_requests": spent.policy_requests,
        "wall_s": round(result.wall_s, 4),
        "note": result.note,
        "ended_by": answered.ended_by or None,
        "demo": result.demo,
    }
    for name in answered.asked.returns:
        told[name] = msgspec.to_builtins(getattr(result, name))
    return told


def _winner(winner: Candidate, task: ReplyTask) -> Fields:
    return {
        "answer": told_answer(winner.answer, task),
        "reward": winner.reward,
        "votes": winner.votes,
        "completion_tokens": winner.num_tokens,
        "path": winner.path,
    }


def _call(name: str, arguments: str) -> Fields:
    function = {"name": name, "arguments": arguments}
    return {"id": new_id("call_"), "type": "function", "function": function}
