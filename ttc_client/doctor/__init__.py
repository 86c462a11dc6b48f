"""Find what is wrong with model servers before a run, and how to fix it.

Each check is one async function from a client to a `Check`, which raises ServerError if the
server fails. `examine` runs all of them for `ttc doctor`, `preflight` the cheap ones at the start
of every search.
"""
