# What launch_policy and launch_prm share. They set `model`, `port`, `engine` and `key`, the name of
# the variable that holds the API key, and source this file.
# shellcheck shell=bash disable=SC2034,SC2154

templates=$(cd "$(dirname "$0")/../servers/templates" && pwd)
host=0.0.0.0
gpus=1
tensor_parallel=1
max_num_seqs=256
max_queue=2048
template=''
mode=generative
dry_run=''
extra=()
shown_key=''

say() { echo "${0##*/}: $*" >&2; }
die() { say "$@" && exit 1; }
bad_usage() { say "$* (see --help)" && exit 2; }

common_options() {
    cat <<'EOF'
  --host HOST            address to listen on (default: 0.0.0.0)
  --gpus N               GPUs to use (default: 1); CUDA_VISIBLE_DEVICES says which
  --tensor-parallel N    GPUs that share one copy of the model (default: 1); there are
                         gpus/N copies, between which vLLM spreads the requests
  --max-num-seqs N       sequences computed at once, per copy (default: 256)
  --max-queue N          sequences taken on at once; more are refused with 503 (default: 2048)
  --template FILE        chat template (default: servers/templates/llama3.jinja for a Llama 3,
                         the model's own for others)
  --dry-run              print the exact command, and do nothing
  -h, --help             show this help
  -- ARGUMENT...         handed to the server as they are
EOF
}

# Set the variables above from the command line.
parse_options() {
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help) usage && common_options && exit ;;
        --dry-run) dry_run=1 && shift && continue ;;
        --) shift && extra=("$@") && break ;;
        esac
        [ $# -gt 1 ] || bad_usage "unknown option $1, or its value is missing"
        case $1 in
        --model) model=$2 ;;
        --engine) engine=$2 ;;
        --mode) mode=$2 ;;
        --host) host=$2 ;;
        --port) port=$2 ;;
        --gpus) gpus=$2 ;;
        --tensor-parallel) tensor_parallel=$2 ;;
        --max-num-seqs) max_num_seqs=$2 ;;
        --max-queue) max_queue=$2 ;;
        --template) template=$2 ;;
        *) bad_usage "unknown option $1" ;;
        esac
        shift 2
    done
    local number
    for number in "$port" "$gpus" "$tensor_parallel" "$max_num_seqs" "$max_queue"; do
        [[ $number =~ ^[1-9][0-9]*$ ]] || bad_usage "'$number' is not a whole number above 0"
    done
    [ $((gpus % tensor_parallel)) -eq 0 ] ||
        bad_usage "--gpus $gpus is not a multiple of --tensor-parallel $tensor_parallel"
}

# Hand the API key over in the environment variable $1, which the server reads.
pass_key() {
    if [ -z "${!key:-}" ]; then
        say "$key is not set: whoever reaches port $port can use the server"
    else
        export "$1=${!key}"
        shown_key="$1=\$$key "
    fi
}

# Replace this process by the command $@, or print it.
run() {
    if [ "$dry_run" ]; then
        printf '%s' "$shown_key" && printf '%q ' "$@" && echo
        exit
    fi
    exec "$@"
}

# Run `vllm serve` with the arguments $@ besides those that every server of ours has.
run_vllm() {
    pass_key VLLM_API_KEY
    if [ -z "$template" ] && [[ $model =~ [Ll]lama-?3 ]]; then
        template=$templates/llama3.jinja
    fi
    set -- --host "$host" --port "$port" \
        --data-parallel-size $((gpus / tensor_parallel)) --tensor-parallel-size "$tensor_parallel" \
        --max-model-len auto --max-num-seqs "$max_num_seqs" --max-num-queued-reqs "$max_queue" \
        --enable-prefix-caching ${template:+--chat-template "$template"} "$@"
    [ "$dry_run" ] || command -v vllm >/dev/null ||
        die "there is no vllm on the PATH: on the GPU host, run pip install 'vllm>=0.32'," \
            "or without a GPU, run scripts/install_vllm_cpu and scripts/launch_cpu"
    # Its default of 5 s closes connections that clients still hold for the next step.
    run env VLLM_HTTP_TIMEOUT_KEEP_ALIVE=75 vllm serve "$model" "$@" ${extra[@]+"${extra[@]}"}
}

# Run TGI: its launcher where it is installed, else its container.
run_tgi() {
    [ "$gpus" = "$tensor_parallel" ] ||
        bad_usage "TGI runs one copy of the model: --tensor-parallel must equal --gpus"
    pass_key API_KEY
    set -- --model-id "$model" --num-shard "$tensor_parallel" \
        --max-concurrent-requests "$max_queue" ${extra[@]+"${extra[@]}"}
    if command -v text-generation-launcher >/dev/null; then
        run text-generation-launcher --hostname "$host" --port "$port" "$@"
    fi
    run docker run --rm --gpus "\"device=${CUDA_VISIBLE_DEVICES:-$(seq -s, 0 $((gpus - 1)))}\"" \
        --shm-size 1g --publish "$host:$port:80" --env API_KEY --env HF_TOKEN \
        --volume "${HF_HOME:-$HOME/.cache/huggingface}/hub:/data" \
        ghcr.io/huggingface/text-generation-inference:3.3.7 "$@"
}
