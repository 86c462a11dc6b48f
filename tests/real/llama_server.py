"""Run llama.cpp's server on a GGUF file and print its URL: `python llama_server.py FILE`.

The package xllamacpp holds the server as llama.cpp builds it; four slots are its default. It ends
with its standard input.
"""

import sys

import xllamacpp  # pyright: ignore[reportMissingImports]

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_parallel = 4
params.n_ctx = 4 * 4096
params.cpuparams.n_threads = 1
params.n_gpu_layers = 0
params.warmup = False
params.port = 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
