r"""Search and judge as the published toolkit does: huggingface/search-and-learn, commit 6f81cac.

`--compat sal` puts this package's table of strategies, its rules for candidates and its way to
read an answer in the place of our own, so that the toolkit's numbers can be reproduced. Where its
code departs from the post, this package follows the code:

| what its code does | here |
|---|---|
| N need not be a multiple of M in beam search; below M, every beam is kept | `searches.beam` |
| kept beams are repeated in turn up to N, so that more than N may finish | `searches.beam` |
| the first N beams that finish are the candidates | `searches` |
| fewer than N are padded with copies, which vote again | `searches` |
| beam search has no lookahead; DVTS keeps the scores of the rolled-out text | `searches.dvts` |
| a step ends a trajectory at EOS, at its token limit, or if it is empty | `searches.ended` |
| the token limit is per step, in DVTS always 2048; a completion has none | `searches.limit` |
| DVTS ends a subtree when its best text contains `boxed{` | `searches.dvts` |
| DVTS returns the last M siblings of each subtree, finished or not | `searches` |
| the PRM also reads the empty step after a final `"\n\n"`: `last` is its | `searches.expand` |
| siblings that read the same remain siblings | `searches.expand` |
| one continuation that fails, fails the search | `searches.expand` |
| whatever the search ranks by, votes count the last score | `judge.RULES` |
| whatever was sampled votes: cut, unfinished, and without an answer | `judge.RULES` |
| an answer is the last box, else an announcement, else the last number | `judge.extract_answer` |

(The empty step is what its default, RLHFlow, reads; its Math-Shepherd does not.)

Not followed: completion tokens are counted (its beam search says 0, its DVTS -1), and problems are
told apart by their ids, not by their texts. Its prompt is ours, with the date pinned. Answers are
equivalent by our canonical forms, not by its `latex2sympy2`: predictions agree where the two do,
up to how an answer is spelled. Its options `filter_duplicates` and `sort_completed` are off, as
they are by default. Greedy decoding and majority voting, which it does not have, are judged alike.

Pure; knows nothing of servers and files.
"""

from ttc_client.sal.judge import RULES, extract_answer
from ttc_client.sal.strategies import STRATEGIES

__all__ = ["RULES", "STRATEGIES", "extract_answer"]
