"""Text to token ids and back, for byte-level BPE tokenizers saved as `tokenizer.json`.

Every token stands for fixed bytes, so that generated text grows by appending, and a stop string
is looked for in the last bytes only.
"""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer as HFTokenizer

from ttc_servers.embedded.protocol import RequestError


class Tokenizer:
    """Encodes text; holds each token's bytes, special tokens being none.

    A text that `max_tokens` tokens cannot hold, however long each is, is not even tokenized.
    """

    def __init__(self, path: Path, max_tokens: int | None = None) -> None:
        self._tokenizer = HFTokenizer.from_file(str(path))
        alphabet = {char: byte for byte, char in enumerate(_byte_alphabet())}
        added = self._tokenizer.get_added_tokens_decoder()
        self.token_bytes: list[bytes] = []
        for token_id in range(self._tokenizer.get_vocab_size()):
            token = self._tokenizer.id_to_token(token_id) or ""
            if token_id in added:
                self.token_bytes.append(b"" if added[token_id].special else token.encode())
            elif all(char in alphabet for char in token):
                self.token_bytes.append(bytes(alphabet[char] for char in token))
            else:
                raise ValueError(f"{path}: {token!r} is not a token of a byte-level tokenizer")
        longest = max(map(len, [*self.token_bytes, *(t.content for t in added.values())]))
        self._max_tokens = max_tokens
        self._max_chars = None if max_tokens is None else max_tokens * longest
        self._special_text = {
            token_id: token.content for token_id, token in added.items() if token.special
        }

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Return the token ids of a text, with a BOS in front if the tokenizer adds one.

        Raises RequestError for a text that is longer than any that fits.
        """
        if self._max_chars is not None and len(text) > self._max_chars:
            raise RequestError(
                f"This model's maximum context length is {self._max_tokens} tokens, which cannot "
                f"hold a text of {len(text)} characters. Please reduce the length of the input.",
                param="input_tokens",
            )
        return self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of token ids, special tokens spelled out."""
        special = self._special_text
        return b"".join(
            special[i].encode() if i in special else self.token_bytes[i] for i in ids
        ).decode(errors="replace")


def _byte_alphabet() -> list[str]:
    """Return the character that stands for each byte in a byte-level vocabulary (GPT-2's)."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    shifted = iter(range(256, 512))
    return [chr(byte if byte in printable else next(shifted)) for byte in range(256)]
