"""The two published PRM architectures that transformers does not have.

Both are a Qwen2 backbone with a small head on every position. The attribute names are those of
the published checkpoints, so that `from_pretrained` finds each weight without remote code.
"""

from torch import nn
from transformers import Qwen2Config, Qwen2Model, Qwen2PreTrainedModel


class Qwen2ValueHead(Qwen2PreTrainedModel):
    """Skywork-o1-Open-PRM: one value per position, `v_head.summary` of its `prm_model.py`."""

    _keys_to_ignore_on_load_unexpected = (r"^lm_head\.",)

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        self.v_head = nn.ModuleDict({"summary": nn.Linear(config.hidden_size, 1)})
        self.post_init()


class Qwen2ForProcessRewardModel(Qwen2PreTrainedModel):
    """Qwen2.5-Math-PRM: two classes, bad and good, per position."""

    _keys_to_ignore_on_load_unexpected = (r"^lm_head\.",)

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.model = Qwen2Model(config)
        self.score = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
        self.post_init()
