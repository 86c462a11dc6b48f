"""The scoring server: process reward models behind `POST /score` of `ttc_client.clients.wire`.

`adapters` say how a family of PRMs reads a solution, `replica` runs one model on one device,
`engine` batches requests across clients, `app` speaks HTTP, and `python -m ttc_servers.prm`
puts them together. Needs torch and transformers; nothing of the client does.
"""
