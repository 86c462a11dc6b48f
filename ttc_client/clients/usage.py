"""The `usage` field of OpenAI-style servers: the tokens that a request cost."""

import msgspec

from ttc_client.clients.wire import Count
from ttc_client.types import Usage


class _PromptDetails(msgspec.Struct):
    cached_tokens: Count | None = None


class TokenUsage(msgspec.Struct):
    """The `usage` of a reply; counts that a server leaves out, or that are null, are 0."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _PromptDetails | None = None

    @property
    def cached_tokens(self) -> int:
        """How many of the prompt's tokens came from the server's cache."""
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0

    def by_policy(self) -> Usage:
        """Count it as one request to the policy."""
        return Usage(
            completion_tokens=self.completion_tokens or 0,
            prompt_tokens=self.prompt_tokens or 0,
            cached_tokens=self.cached_tokens,
            policy_requests=1,
        )

    def by_prm(self) -> Usage:
        """Count it as one request to the PRM."""
        return Usage(
            prm_tokens=self.prompt_tokens or 0,
            prm_cached_tokens=self.cached_tokens,
            prm_requests=1,
        )


def counted(usage: TokenUsage | None) -> TokenUsage:
    """Return the `usage` of a reply; one that is missing or null counts nothing."""
    return usage or TokenUsage()
