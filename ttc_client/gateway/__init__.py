"""`ttc serve`: an OpenAI-compatible server whose answers are searched for, and its page.

From a body to a reply: `bodies` and `messages` read what is asked, `asked` makes a search of it
by a profile, `searches` runs it by the one `Client` of the process, `votes` says which candidate
answers, `replies` and `responses` put it into OpenAI's shapes, `streams` sends it. `app` holds the
routes.
"""
