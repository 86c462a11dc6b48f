"""What `ttc export` prints is what TRL's trainers load: one step of each, on a tiny model.

Runs in the environment of `scripts/install_trl`; ttc itself in the checkout's own.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from datasets import Dataset, load_dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForTokenClassification,
    PreTrainedTokenizerFast,
)

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

try:
    from trl.experimental.prm import PRMConfig, PRMTrainer
except ImportError:  # up to 0.25
    from trl import PRMConfig, PRMTrainer

TTC = [Path(__file__).parents[2] / ".venv" / "bin" / "ttc"]
pytestmark = pytest.mark.timeout(600)
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"


@pytest.fixture(scope="session")
def directory(tmp_path_factory) -> Path:
    """Search a few problems with the demo models, and label the steps of what was sampled."""
    path = tmp_path_factory.mktemp("runs")
    searched = ["bench", "demomath", "--limit", "8", "-s", "best-of-n", "-n", "8", "--out", "run"]
    for arguments in (searched, ["label", "run", "-k", "2", "--out", "labels"]):
        subprocess.run([*TTC, *arguments, "-q"], cwd=path, check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Read each byte as a token."""
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<eos>", "<unk>"])}
    vocabulary |= {c: 3 + i for i, c in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    made = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=TEMPLATE, **special)


def config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        pad_token_id=0,
        eos_token_id=1,
        num_labels=2,
    )


def exported(directory: Path, name: str, *arguments: str) -> Dataset:
    """Export rows, and load them with `datasets`."""
    command = [*TTC, "export", *arguments]
    done = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)
    path = directory / f"{name}.jsonl"
    path.write_text(done.stdout)
    rows = load_dataset("json", data_files=str(path), split="train", cache_dir=str(directory))
    assert len(rows) == len(done.stdout.splitlines()) > 0
    assert rows[0].keys() == json.loads(done.stdout.splitlines()[0]).keys()
    return rows


def settings(directory: Path, **more) -> dict:
    return {
        "output_dir": str(directory / "out"),
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "save_strategy": "no",
        **more,
    }


def test_the_prm_trainer_takes_a_step_on_labels(directory, tokenizer):
    rows = exported(directory, "prm", "labels", "--format", "prm")
    assert all(type(label) is bool for row in rows for label in row["labels"])
    assert all(len(row["labels"]) == len(row["completions"]) for row in rows)
    assert {label for row in rows for label in row["labels"]} == {True, False}
    trainer = PRMTrainer(
        model=LlamaForTokenClassification(config(tokenizer)),
        args=PRMConfig(**settings(directory, step_separator="\n\n", max_length=2048)),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    tokens = trainer.train_dataset[0]
    count = sum(label != -100 for label in tokens["labels"])
    assert count == len(rows[0]["completions"])  # one label a step, none lost to truncation
    assert trainer.train().training_loss > 0


def test_the_sft_trainer_takes_a_step_on_right_solutions(directory, tokenizer):
    rows = exported(directory, "sft", "run", "--format", "sft", "--pick", "diverse:2")
    trainer = SFTTrainer(
        model=LlamaForCausalLM(config(tokenizer)),
        args=SFTConfig(**settings(directory, max_length=4096)),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    assert trainer.train().training_loss > 0


@pytest.mark.parametrize("more", [(), ("--at-step",)], ids=["whole", "at the step"])
def test_the_dpo_trainer_takes_a_step_on_pairs(directory, tokenizer, more):
    rows = exported(directory, f"dpo{len(more)}", "run", "--format", "dpo", *more)
    assert all(row["chosen"] != row["rejected"] for row in rows)
    trainer = DPOTrainer(
        model=LlamaForCausalLM(config(tokenizer)),
        ref_model=LlamaForCausalLM(config(tokenizer)),
        args=DPOConfig(**settings(directory, max_length=4096)),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    assert trainer.train().training_loss > 0
