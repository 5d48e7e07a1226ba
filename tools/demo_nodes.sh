# shellcheck shell=bash disable=SC2034,SC2154
# Starts and stops the two nodes of the demonstration. Sourced by tools/demo, which sets `program`,
# `threads`, `data`, `http_port` and `node_port`.

node_name=([0]=a [1]=b)
node_pid=()

# Tells whether something listens on the port of 127.0.0.1.
port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Makes the data folder and the secret which both nodes share.
prepare_data() {
    mkdir -p "$1/a" "$1/b"
    if [[ ! -s $1/secret ]]; then
        (umask 077 && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$1/secret")
    fi
    chmod 600 "$1/secret"
}

start_node() {
    local node=$1 other=$((1 - $1))
    local command=("$program" --http "127.0.0.1:${http_port[$node]}" --node "${node_name[$node]}"
        --listen "127.0.0.1:${node_port[$node]}"
        --peer "${node_name[$other]}=127.0.0.1:${node_port[$other]}"
        --secret-file "$data/secret" --data "$data/${node_name[$node]}" --threads "$threads")
    say "Starting node ${node_name[$node]}: ${command[*]}"
    # A group of its own: Ctrl-C reaches this script, which then stops the nodes in order.
    set -m
    if [[ -n ${log_folder:-} ]]; then
        "${command[@]}" >>"$log_folder/node-${node_name[$node]}.log" 2>&1 </dev/null &
    else
        "${command[@]}" </dev/null &
    fi
    node_pid[node]=$!
    set +m
}

# Waits until the node answers, for at most 10 seconds.
wait_until_healthy() {
    local node=$1 deadline=$((SECONDS + 10))
    until curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:${http_port[$node]}/healthz" \
        2>/dev/null; do
        kill -0 "${node_pid[$node]}" 2>/dev/null ||
            fail "node ${node_name[$node]} ended instead of starting; its messages say why"
        ((SECONDS < deadline)) || fail "node ${node_name[$node]} does not answer on /healthz"
        sleep 0.1
    done
}

# Asks the node to stop, and waits for it; after 10 seconds kills it. Succeeds if it ended with 0.
stop_node() {
    local pid=${node_pid[$1]:-} status=0 deadline=$((SECONDS + 10))
    [[ -n $pid ]] || return 0
    node_pid[$1]=
    kill -TERM "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do
        if ((SECONDS >= deadline)); then kill -KILL "$pid" 2>/dev/null || true; fi
        sleep 0.05
    done
    wait "$pid" 2>/dev/null || status=$?
    return "$status"
}

stop_nodes() {
    local status=0
    stop_node 0 || status=1
    stop_node 1 || status=1
    return "$status"
}

# Ends the node as a power cut would.
kill_node() {
    kill -KILL "${node_pid[$1]}"
    wait "${node_pid[$1]}" 2>/dev/null || true
    node_pid[$1]=
}
