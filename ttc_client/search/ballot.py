"""The answers of one search, read off its completions and keyed once each."""

from collections.abc import Awaitable, Callable, Sequence


class Ballot:
    """Reads answers and keys them: equal keys mean equivalent answers.

    `extract` reads an answer off a text, "" where there is none; `keys` returns a key per answer.
    A key that was made once is remembered, for the vote, the live display and the result alike.
    """

    def __init__(
        self,
        extract: Callable[[str], str],
        keys: Callable[[Sequence[str]], Awaitable[Sequence[str]]],
    ) -> None:
        self.extract = extract
        self._make_keys = keys
        self._keys: dict[str, str] = {}

    async def keys(self, answers: Sequence[str]) -> list[str]:
        """Return a key per answer, in order."""
        if new := [answer for answer in dict.fromkeys(answers) if answer not in self._keys]:
            self._keys.update(zip(new, await self._make_keys(new), strict=True))
        return [self._keys[answer] for answer in answers]
