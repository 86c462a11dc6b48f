"""Tell the reply to another request from our own, by what servers repeat of a request."""

from dataclasses import dataclass

import msgspec

from ttc_client.clients.replies import OthersReply

_NOTHING = b"null"


@dataclass(slots=True)
class Echo:
    """What a server has to repeat; `model` is the name that is asked for.

    The first reply may have another name, such as a gateway's own for the model; then all must,
    unless they cannot be late: the first on their connections, as a gateway sends them that has
    several models.
    """

    model: str
    answered: str | None = None

    def check_model(self, named: str | None, *, is_first: bool = False) -> None:
        """Raise OthersReply unless the reply is by the model, as far as it says."""
        if not named:
            return
        if self.answered is None or is_first:
            self.answered = named
        elif named not in (self.answered, self.model):
            raise OthersReply(f"it is by the model {named!r}, not {self.answered!r}")

    def check_prompt(self, sent: bytes, repeated: msgspec.Raw) -> None:
        """Raise OthersReply if the JSON of another prompt is repeated than that which was sent."""
        said = bytes(repeated)
        if said not in (sent, _NOTHING) and said.translate(None, b" \n\r\t") != sent:
            raise OthersReply("it is for another prompt")


def check_length(length: int, n: int, counted: int) -> None:
    """Raise OthersReply if another number of prompt tokens is counted than was sent."""
    if counted not in (0, length, n * length):
        raise OthersReply(f"it is for a prompt of {counted} tokens, not of {length}")


def check_seed(sent: int | None, repeated: int | None) -> None:
    """Raise OthersReply if another seed is repeated than that which was sent."""
    if repeated not in (sent, None):
        raise OthersReply(f"it is for the seed {repeated}, not {sent}")
