"""Say in words what makes a run's accuracy doubtful. Pure, given the run."""

from collections.abc import Iterator
from itertools import islice

from ttc_client.bench.runs import Run
from ttc_client.runtime.records import Record

_FEWEST = 3
"""Problems on which nothing right is a reason to doubt; on fewer it may well be so."""

_SHOWN = 2
_MOST_CHARS = 40


def doubts(run: Run) -> Iterator[str]:
    """Return a sentence for each sign that answers are not read or graded as they should be."""
    ended = [record for record in run.records.values() if not record.error]
    if len({record.id for record in ended}) < _FEWEST:
        return
    if not any(record.answers for record in ended):
        yield (
            "no completion of any search gave an answer: look at one with ttc report or ttc "
            "export; are they cut short (--max-tokens), or is the chat template another model's?"
        )
    elif not any(record.best_grade > 0 for record in ended):
        shown = "; ".join(islice(_beside(run, ended), _SHOWN))
        yield (
            "the accuracy is 0: none of the answers to any problem is right. Are the gold answers "
            f"in the right column, and of the form that is asked for? {shown}"
        )


def _beside(run: Run, ended: list[Record]) -> Iterator[str]:
    """Show gold answers beside what was answered."""
    for record in {record.id: record for record in ended if record.answers}.values():
        if problem := run.problems.get(record.id):
            chosen = record.choices.get(record.vote) or record.answers[0].answer
            yield f"{record.id}: gold {_short(problem.gold)}, answered {_short(chosen)}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= _MOST_CHARS else line[:_MOST_CHARS] + "…")
