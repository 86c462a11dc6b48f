"""Examine model servers before they are trusted with a run: what is wrong, and how to fix it.

Each check is one async function from a client to a `Check`; `examine` runs all of them for
`ttc doctor`, `preflight` the cheap ones at the start of every search.
"""
