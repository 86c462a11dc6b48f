"""One adapter per family of PRMs: how a solution becomes tokens, and where its scores are read.

A score is read at a position that the adapter put there itself; no text is searched for a
marker, which a problem may hold as well. Knows nothing of batches, devices or HTTP.
"""

import importlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
from transformers.modeling_layers import GenericForSequenceClassification
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

from ttc_client.clients.prompts import (
    MATH_SHEPHERD_MARKER,
    QWEN_PRM_MARKER,
    QWEN_PRM_SYSTEM,
    RLHFLOW_APPROVAL,
    RLHFLOW_SYSTEM,
    RLHFLOW_VERDICTS,
    question,
    render_chatml,
    rlhflow_question,
)
from ttc_client.search.steps import STEP_DELIMITER
from ttc_servers.prm.encoded import Encoded
from ttc_servers.prm.heads import Qwen2ForProcessRewardModel, Qwen2ValueHead


class Adapter(Protocol):
    """What the server asks of a family; a user's own class has these four and the constructor.

    `model_class` loads the checkpoint. `head` names a module that is kept in float32. `causal`
    says that a position does not see later ones: then `score` turns hidden states into scores,
    and prefixes can be reused. Otherwise `score_whole` scores whole sequences.
    """

    model_class: ClassVar[Any]
    head: str
    causal: bool

    def __init__(self, tokenizer: Any, config: Any) -> None: ...

    def encode(self, problem: str, prefix: Sequence[str], item: Sequence[str]) -> list[Encoded]:
        """Return sequences whose reads, in order, are the scores of the steps of `item`."""
        ...

    def score(self, model: Any, hidden: Tensor) -> Tensor:
        """Return one probability per hidden state: [R, width] in float32 to [R]."""
        ...


class _Tokens:
    """Token ids of pieces of text that stand between special tokens; recent ones are kept."""

    def __init__(self, tokenizer: Any) -> None:
        @lru_cache(maxsize=8192)
        def ids(text: str) -> tuple[int, ...]:
            return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])

        self.ids: Callable[[str], tuple[int, ...]] = ids
        self.bos = () if tokenizer.bos_token_id is None else (tokenizer.bos_token_id,)


def _first_label(model: Any, hidden: Tensor, labels: Sequence[int]) -> Tensor:
    """Return the probability that the next token is the first of the labels, not another."""
    weight = model.get_output_embeddings().weight[list(labels)].float()
    return (hidden @ weight.T).softmax(dim=-1)[:, 0]


class RLHFlow:
    """RLHFlow Llama3.1-8B-PRM: a chat in which the PRM answers each step with "+" or "-".

    Every earlier step stands as answered "+"; the score of a step is P("+") against "-" at the
    token before its answer (RLHFlow, `math-rm/prm_evaluate.py`).
    """

    model_class = AutoModelForCausalLM
    head = ""
    causal = True

    def __init__(self, tokenizer: Any, config: Any) -> None:
        self._tokens = _Tokens(tokenizer)
        self._labels = [self._tokens.ids(label)[-1] for label in RLHFLOW_VERDICTS]

    def encode(self, problem: str, prefix: Sequence[str], item: Sequence[str]) -> list[Encoded]:
        ids = [*self._tokens.bos, *self._tokens.ids(RLHFLOW_SYSTEM)]
        reads = []
        for index, step in enumerate((*prefix, *item)):
            if index:
                ids += self._tokens.ids(RLHFLOW_APPROVAL)
            ids += self._tokens.ids(rlhflow_question(problem, index, step))
            reads.append(len(ids) - 1)
        return [Encoded(ids, reads[len(prefix) :])]

    def score(self, model: Any, hidden: Tensor) -> Tensor:
        return _first_label(model, hidden, self._labels)


class MathShepherd:
    """peiyi9979/math-shepherd-mistral-7b-prm: `problem step ки`, a line per step.

    The score is P("+") against "-" at each of our markers (Wang et al. 2024, model card).
    """

    model_class = AutoModelForCausalLM
    head = ""
    causal = True

    def __init__(self, tokenizer: Any, config: Any) -> None:
        self._tokenizer = tokenizer
        self._tokens = _Tokens(tokenizer)
        self._labels = self._tokens.ids("+ -")[-2:]

    def encode(self, problem: str, prefix: Sequence[str], item: Sequence[str]) -> list[Encoded]:
        text, markers = f"{problem} ", []
        for index, step in enumerate((*prefix, *item)):
            text += ("\n" if index else "") + f"{step} {MATH_SHEPHERD_MARKER}"
            markers.append(len(text) - 1)
        encoding = self._tokenizer(text, add_special_tokens=False)
        bos = self._tokens.bos
        reads = [len(bos) + encoding.char_to_token(marker) for marker in markers[len(prefix) :]]
        return [Encoded([*bos, *encoding["input_ids"]], reads)]

    def score(self, model: Any, hidden: Tensor) -> Tensor:
        return _first_label(model, hidden, self._labels)


class SkyworkO1:
    """Skywork-o1-Open-PRM: the sigmoid of a value head at the newline that ends each line.

    Lines are tokenized one by one, as its `prepare_input` does. A step of several lines has
    the score of its last.
    """

    model_class = Qwen2ValueHead
    head = "v_head"
    causal = True

    def __init__(self, tokenizer: Any, config: Any) -> None:
        self._tokens = _Tokens(tokenizer)
        self._bos = tokenizer.bos_token or ""

    def encode(self, problem: str, prefix: Sequence[str], item: Sequence[str]) -> list[Encoded]:
        ids = list(self._tokens.ids(f"{self._bos}{problem}\n"))
        reads = []
        for step in (*prefix, *item):
            for line in step.split("\n"):
                ids += [*self._tokens.ids(line), self._tokens.ids("\n")[-1]]
            reads.append(len(ids) - 1)
        return [Encoded(ids, reads[len(prefix) :])]

    def score(self, model: Any, hidden: Tensor) -> Tensor:
        return model.v_head["summary"](hidden).sigmoid()[:, 0]


class QwenMathPRM:
    """Qwen2.5-Math-PRM: the probability of the class "good" at the marker after each step."""

    model_class = Qwen2ForProcessRewardModel
    head = "score"
    causal = True

    def __init__(self, tokenizer: Any, config: Any) -> None:
        self._tokens = _Tokens(tokenizer)
        self._marker = self._tokens.ids(QWEN_PRM_MARKER)[-1]

    def encode(self, problem: str, prefix: Sequence[str], item: Sequence[str]) -> list[Encoded]:
        ids, reads = [], []
        text = render_chatml(question(problem, QWEN_PRM_SYSTEM))  # may merge with the first step
        for step in (*prefix, *item):
            ids += [*self._tokens.ids(text + step), self._marker]
            reads.append(len(ids) - 1)
            text = ""
        return [Encoded(ids, reads[len(prefix) :])]

    def score(self, model: Any, hidden: Tensor) -> Tensor:
        return model.score(hidden).softmax(dim=-1)[:, 1]


class SequenceClassification:
    """Any outcome reward model: a step's score is that of the solution up to its end.

    A chat template is used where the tokenizer has one; otherwise problem and solution are a
    pair of texts. One label is a logit; of two, the second is "good".
    """

    model_class = AutoModelForSequenceClassification

    def __init__(self, tokenizer: Any, config: Any) -> None:
        self._tokenizer = tokenizer
        if config.num_labels not in (1, 2):
            raise ValueError(f"a reward model has 1 or 2 labels, this one {config.num_labels}")
        architecture = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING.get(type(config), nn.Module)
        self.causal = issubclass(architecture, GenericForSequenceClassification)
        self.head = "score" if self.causal else ""

    def encode(self, problem: str, prefix: Sequence[str], item: Sequence[str]) -> list[Encoded]:
        steps = (*prefix, *item)
        ends = range(len(prefix) + 1, len(steps) + 1)
        return [self._solution(problem, STEP_DELIMITER.join(steps[:end])) for end in ends]

    def _solution(self, problem: str, solution: str) -> Encoded:
        if self._tokenizer.chat_template:
            chat = [
                {"role": "user", "content": problem},
                {"role": "assistant", "content": solution},
            ]
            encoding = self._tokenizer.apply_chat_template(chat, return_dict=True)
        else:
            encoding = self._tokenizer(problem, solution)
        ids = encoding["input_ids"]
        return Encoded(ids, [len(ids) - 1], encoding.get("token_type_ids", ()))

    def score(self, model: Any, hidden: Tensor) -> Tensor:
        return self._probability(model.score(hidden))

    def score_whole(self, model: Any, **inputs: Tensor) -> Tensor:
        """Return one probability per sequence of an encoder: [B, S] to [B]."""
        return self._probability(model(**inputs).logits)

    @staticmethod
    def _probability(logits: Tensor) -> Tensor:
        logits = logits.float()
        return logits.sigmoid()[:, 0] if logits.shape[-1] == 1 else logits.softmax(dim=-1)[:, 1]


FAMILIES: dict[str, type[Adapter]] = {
    "rlhflow": RLHFlow,
    "math-shepherd": MathShepherd,
    "skywork": SkyworkO1,
    "qwen-prm": QwenMathPRM,
    "sequence-classification": SequenceClassification,
}

_ARCHITECTURES = {"Qwen2ForPrmModel": "skywork", "Qwen2ForProcessRewardModel": "qwen-prm"}
_NAMES = {
    "rlhflow": "rlhflow",
    "llama3.1-8b-prm-": "rlhflow",
    "math-shepherd": "math-shepherd",
    "skywork-o1-open-prm": "skywork",
}


def find_family(name: str, config: Any) -> str:
    """Return the family of a model by its architecture, then by its name.

    Raises ValueError where neither tells: a wrong guess would give scores that mean nothing.
    """
    architecture = (config.architectures or [""])[0]
    if architecture in _ARCHITECTURES:
        return _ARCHITECTURES[architecture]
    if architecture.endswith("ForSequenceClassification"):
        return "sequence-classification"
    own_name = name.rstrip("/").rpartition("/")[2].lower()
    for part, family in _NAMES.items():
        if part in own_name:
            return family
    raise ValueError(
        f"{name} ({architecture}) is of no family that is known by its config or name;"
        f" give --family ({', '.join(FAMILIES)}) or --adapter"
    )


def load_adapter_class(path: str) -> type[Adapter]:
    """Return the class that `package.module:Name` names."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"no adapter {path!r} (package.module:Name): {error}") from error
