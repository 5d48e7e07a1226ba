# shellcheck shell=bash disable=SC2034,SC2154
# Starts and stops the nodes of the demonstration, and its etcd. Sourced by tools/demo, which sets
# `program`, `threads`, `data`, `http_port`, `node_port`, and for a cluster on etcd `etcd_port` and
# `etcd_peer_port`.

node_name=([0]=a [1]=b [2]=c)
node_pid=()
etcd_pid=
nodes=(0 1)
if [[ $cluster == yes ]]; then nodes=(0 1 2); fi

# Tells whether something listens on the port of 127.0.0.1.
port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Makes the data folder and the secret which both nodes share.
prepare_data() {
    mkdir -p "$1"
    if [[ ! -s $1/secret ]]; then
        (umask 077 && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$1/secret")
    fi
    chmod 600 "$1/secret"
}

start_node() {
    local node=$1 other=$((1 - $1))
    local command=("$program" --http "127.0.0.1:${http_port[$node]}" --node "${node_name[$node]}"
        --listen "127.0.0.1:${node_port[$node]}" --secret-file "$data/secret" --threads "$threads")
    if [[ $cluster == yes ]]; then
        command+=(--etcd "http://127.0.0.1:$etcd_port" --data "$data/shards")
    else
        command+=(--peer "${node_name[$other]}=127.0.0.1:${node_port[$other]}"
            --data "$data/${node_name[$node]}")
    fi
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
    local status=0 node
    for node in "${nodes[@]}"; do stop_node "$node" || status=1; done
    if [[ -n $etcd_pid ]]; then
        kill -TERM "$etcd_pid" 2>/dev/null || true
        wait "$etcd_pid" 2>/dev/null || true
        etcd_pid=
    fi
    return "$status"
}

# Starts etcd, with what it has on disk, and waits until it answers, for at most 30 seconds.
start_etcd() {
    local client=http://127.0.0.1:$etcd_port peer=http://127.0.0.1:$etcd_peer_port deadline
    say "Starting etcd on $client"
    set -m
    etcd --data-dir "$data/etcd" --listen-client-urls "$client" --advertise-client-urls "$client" \
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" \
        --initial-cluster "default=$peer" >>"$data/etcd.log" 2>&1 </dev/null &
    etcd_pid=$!
    set +m
    deadline=$((SECONDS + 30))
    until curl -fsS -o /dev/null --max-time 2 "$client/health" 2>/dev/null; do
        kill -0 "$etcd_pid" 2>/dev/null || fail "etcd ended instead of starting; see $data/etcd.log"
        ((SECONDS < deadline)) || fail "etcd does not answer; see $data/etcd.log"
        sleep 0.1
    done
}

# Ends etcd as a power cut would.
kill_etcd() {
    kill -KILL "$etcd_pid"
    wait "$etcd_pid" 2>/dev/null || true
    etcd_pid=
}

# Ends the node as a power cut would.
kill_node() {
    kill -KILL "${node_pid[$1]}"
    wait "${node_pid[$1]}" 2>/dev/null || true
    node_pid[$1]=
}
