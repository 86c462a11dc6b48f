"""Check that policy and PRM are two models, not swapped, and that replicas serve one."""

from collections.abc import Collection, Sequence

from ttc_client.clients.connect import connect_prm
from ttc_client.clients.http import Server
from ttc_client.doctor.findings import Check
from ttc_client.doctor.prm import Judgement, judge
from ttc_client.errors import TTCError


async def roles(
    policy: Server, found: Judgement, policy_models: Collection[str], prm_models: Collection[str]
) -> Check:
    """Check that the PRM's server is not the policy's, and that the two are not swapped.

    `found` is the PRM's judgement; a plausible one settles it. A policy that fails to judge is no
    PRM: nothing is raised.
    """
    if found.plausible:
        return Check("roles", "ok", "two models")
    if same := set(policy_models) & set(prm_models):
        name = ", ".join(sorted(same))
        seen = f"the servers of the policy and of the PRM both serve {name}"
        return Check("roles", "fail", seen, "name two servers: --policy URL --prm URL")
    try:
        swapped = (await judge(await connect_prm(policy, "auto"))).plausible
    except TTCError:
        swapped = False
    if swapped:
        seen = "swapped: the policy's server judges steps, and the PRM's does not"
        return Check("roles", "fail", seen, "exchange the URLs of --policy and --prm")
    return Check("roles", "ok", "two models")


def other_models(
    role: str, served: Sequence[tuple[str, str | None]]
) -> Sequence[tuple[str, Check]]:
    """Return a failed check for each replica, by its URL, that serves another model than the first.

    `served` has the URL and the model of each; a model that is not known is not compared.
    """
    known = [(url, model) for url, model in served if model]
    return [
        (
            url,
            Check(
                "replicas",
                "fail",
                f"{url} serves {model}, but {known[0][0]} serves {known[0][1]}",
                f"name servers of one model for --{role}; a search would mix the two",
            ),
        )
        for url, model in known
        if model != known[0][1]
    ]
