"""What replies say of their tokens, whatever is missing from it or no number."""

import json

import msgspec
import pytest

from ttc_client.clients.logprobs import TokenLogprobs, read_logprobs
from ttc_client.clients.replies import Unexpected


def read(logprobs, top=2) -> TokenLogprobs:
    return read_logprobs(msgspec.Raw(json.dumps(logprobs).encode()), top)


def test_the_sampled_token_counts_among_the_alternatives_only_if_it_is_likely_enough():
    said = {"token_logprobs": [-9.0], "top_logprobs": [{"a": -1.0, "b": -2.0, "sampled": -9.0}]}
    assert read(said) == TokenLogprobs((-9.0,), (1.5,))


def test_the_chat_shape_says_the_same():
    tokens = [
        {
            "token": "x",
            "logprob": -0.5,
            "top_logprobs": [{"token": t, "logprob": -1.0} for t in "xy"],
        }
    ]
    assert read({"content": tokens}) == TokenLogprobs((-0.5,), (1.0,))


@pytest.mark.parametrize("absent", [None, -9999.0])
def test_a_token_without_a_number_leaves_the_whole_reply_without(absent):
    assert read({"token_logprobs": [-0.5, absent], "top_logprobs": [{"a": -1.0}] * 2}).own == ()


def test_alternatives_that_are_not_reported_do_not_count():
    said = {"token_logprobs": [-0.5], "top_logprobs": [{"a": -1.0, "b": -9999.0, "c": None}]}
    assert read(said) == TokenLogprobs((-0.5,), (1.0,))


@pytest.mark.parametrize("top_logprobs", [None, [], [None], [{}], [{"a": None}], [{"a": -1}] * 2])
def test_no_confidence_is_made_up_where_the_alternatives_are_missing(top_logprobs):
    said = {"token_logprobs": [-0.5], "top_logprobs": top_logprobs}
    assert read(said) == TokenLogprobs((-0.5,), ())


def test_nothing_is_decoded_that_was_not_asked_for():
    assert read_logprobs(msgspec.Raw(b'{"token_logprobs": "nonsense"}'), None) == TokenLogprobs()


@pytest.mark.parametrize("said", ['"nonsense"', "[1]", '{"token_logprobs": ["a"]}'])
def test_what_has_no_known_shape_is_unexpected(said):
    with pytest.raises(Unexpected, match="logprobs"):
        read_logprobs(msgspec.Raw(said.encode()), 2)


def test_pieces_of_a_text_are_joined_unless_one_says_nothing():
    piece = TokenLogprobs((-0.5,), (1.0,))
    assert TokenLogprobs.of_pieces([piece, piece]) == TokenLogprobs((-0.5,) * 2, (1.0,) * 2)
    assert TokenLogprobs.of_pieces([piece, TokenLogprobs()]) == TokenLogprobs()
    assert TokenLogprobs.of_pieces([piece, TokenLogprobs((-0.5,))]).confidences == ()
