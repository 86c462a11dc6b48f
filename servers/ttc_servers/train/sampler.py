"""Sample many solutions at once from a policy in training, without a server.

A shared prefix is computed once; rows are padded on the left; a row leaves when it ends.
"""

from collections.abc import Iterator, Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from ttc_servers.demomath import Problem
from ttc_servers.train.data import policy_prompt
from ttc_servers.train.llama import Cache, Llama
from ttc_servers.train.tokenizer import EOT, encode

_ROWS = 384


@torch.no_grad()
def sample(
    model: Llama,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    n: int,
    temperature: float,
    seed: int,
    max_tokens: int = 320,
) -> Iterator[tuple[int, str]]:
    """Yield (index of the problem, solution) n times for each problem, in no fixed order.

    temperature 0 is greedy. A solution that does not end within max_tokens is cut.
    """
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    before, after = policy_prompt()
    prefix = torch.tensor([encode(tokenizer, before)], device=device)
    shared = model(prefix)[1]
    questions = [encode(tokenizer, problem.problem + after) for problem in problems]
    jobs = sorted(
        (index for index in range(len(problems)) for _ in range(n)),
        key=lambda index: (problems[index].level, problems[index].family, len(questions[index])),
    )
    end = tokenizer.token_to_id(EOT)
    for begin in range(0, len(jobs), _ROWS):
        chunk = jobs[begin : begin + _ROWS]
        rows = Rows(model, shared, [questions[index] for index in chunk])
        for place, ids in rows.run(temperature, generator, end, max_tokens):
            yield chunk[place], tokenizer.decode(ids, skip_special_tokens=True)


class Rows:
    """Sequences in flight: their cache, mask, positions and tokens."""

    def __init__(self, model: Llama, shared: Cache, questions: list[list[int]]):
        self.model = model
        device = shared[0][0].device
        width, past = max(map(len, questions)), shared[0][0].shape[2]
        ids = torch.tensor([[0] * (width - len(q)) + q for q in questions], device=device)
        real = torch.tensor([[0] * (width - len(q)) + [1] * len(q) for q in questions]).bool()
        self.keys = torch.cat([torch.ones(len(questions), past).bool(), real], dim=1).to(device)
        causal = torch.ones(width, past + width, dtype=torch.bool, device=device).tril(past)
        self.positions = past + real.to(device).long().cumsum(1) - 1
        mask = (causal & self.keys[:, None])[:, None]
        mask[..., 0] = True  # a padding token attends to something, or it would be not a number
        self.cache = shared
        self.places = torch.arange(len(questions), device=device)
        self.logits = self._advance(ids, self.positions, mask)
        self.positions = self.positions[:, -1:]

    def _advance(self, ids: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        rotary = self.model.rotary[:, positions][:, :, None]
        x = self.model.model.embed_tokens(ids)
        states, self.cache = self.model.run(x, rotary, mask, self.cache)
        return self.model.logits(states[-1][:, -1])

    def run(
        self, temperature: float, generator: torch.Generator, end: int, max_tokens: int
    ) -> Iterator[tuple[int, list[int]]]:
        """Yield (place, token ids) of each row as it ends; the end token is left out."""
        texts: dict[int, list[int]] = {place: [] for place in self.places.tolist()}
        for _ in range(max_tokens):
            if temperature:
                chances = (self.logits / temperature).softmax(-1)
                token = torch.multinomial(chances, 1, generator=generator)
            else:
                token = self.logits.argmax(-1, keepdim=True)
            for place, value in zip(self.places.tolist(), token[:, 0].tolist(), strict=True):
                texts[place].append(value)
            going = token[:, 0] != end
            for place in self.places[~going].tolist():
                yield place, texts.pop(place)[:-1]
            if not texts:
                return
            self._keep(going)
            token = token[going]
            self.keys = torch.cat([self.keys, self.keys.new_ones(len(token), 1)], dim=1)
            self.positions = self.positions + 1
            self.logits = self._advance(token, self.positions, self.keys[:, None, None])
        yield from texts.items()

    def _keep(self, going: Tensor) -> None:
        """Drop the rows that have ended."""
        if going.all():
            return
        self.cache = [(keys[going], values[going]) for keys, values in self.cache]
        self.keys, self.positions = self.keys[going], self.positions[going]
        self.places = self.places[going]
