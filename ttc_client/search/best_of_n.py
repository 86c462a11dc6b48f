"""Best-of-N and majority voting: independent completions, told apart by how they are judged."""

from itertools import chain

from ttc_client.search.expand import Expander, merge_alike
from ttc_client.search.params import SearchParams
from ttc_client.together import together
from ttc_client.types import Trajectory


async def best_of_n(
    root: Trajectory, expand: Expander, params: SearchParams
) -> tuple[Trajectory, ...]:
    """Return N whole completions, scored as soon as they are written (the post, "Best-of-N").

    Majority voting (Wang et al. 2022) is the same without a PRM. They are sampled M to a
    request, so that the first are scored while others are still being written.
    """
    completions = await together(
        expand(root, min(params.m, params.n - i), first=i, to_end=True)
        for i in range(0, params.n, params.m)
    )
    return merge_alike(chain.from_iterable(completions))
