# shellcheck shell=bash disable=SC2154
# What is checked of the demonstration's cluster on etcd. Sourced by tools/demo, behind
# demo_check.sh.

# `places NODE` prints which node has each shard, as a node sees it: SHARD NODE.
places() {
    curl -s --max-time 10 "$(url "$1" /metrics)" |
        sed -n 's/^notes_shard_at{shard="\([0-9]*\)",node="\([a-z]*\)"} 1$/\1 \2/p'
}

# `shards_are_at NODE EXPECTED`: within 30 seconds, a node sees all shards, and each of the expected
# nodes has some of them, and nobody else.
shards_are_at() {
    local deadline=$((SECONDS + 30)) seen
    until seen=$(places "$1") && [[ $(wc -l <<<"$seen") == 16 &&
        $(cut -d ' ' -f 2 <<<"$seen" | sort -u | tr -d '\n') == "$2" ]]; do
        if ((SECONDS >= deadline)); then
            printf '          instead: %s\n' "$(tr '\n' ',' <<<"$seen")"
            return 1
        fi
        sleep 0.1
    done
}
# `soon COMMAND...`: succeeds within 30 seconds. A shard whose node is known may still read its log.
soon() {
    local deadline=$((SECONDS + 30))
    until "$@" >"$scratch/said"; do
        if ((SECONDS >= deadline)); then
            cat "$scratch/said"
            return 1
        fi
        sleep 0.1
    done
}
sees_all_shards() { shards_are_at "$1" abc; }

# The notes of one node's shards, as another one sees it: those that are not served now. Each other
# one is served.
others_are_served() {
    local served away
    count_served_and_away "$1" && ((served > 0))
}

# `check_cluster_kill VICTIM WITNESS LEFT`
check_cluster_kill() {
    local victim=$1 witness=$2 left=$3 name=${node_name[$1]}
    say "kill -9 of node $name, in the middle of writes"
    kill_while_writing "$victim" "$witness"
    verify "node $name away: its notes are answered with 503, if at all; the others are served" \
        others_are_served "$witness"
    verify "node $name away: the others take its shards over" shards_are_at "$witness" "$left"
    verify "node $name away: nothing is lost, through another node" soon all_notes_there "$witness"
    verify "node $name away: every acknowledged note is there" acknowledged_are_there "$witness"
    start_node "$victim"
    wait_until_healthy "$victim"
    verify "node $name back: it has its share of the shards" each sees_all_shards
    verify "node $name back: nothing is lost, through any node" soon each all_notes_there
    verify "node $name back: every acknowledged note is there" acknowledged_are_there "$victim"
    verify "node $name back: the notes written meanwhile can be deleted" remove_burst "$witness"
}

restart_at_once() {
    kill_node "$1"
    start_node "$1"
    wait_until_healthy "$1"
    each sees_all_shards && soon each all_notes_there
}

check_cluster() {
    check_cluster_kill 2 0 ab
    check_cluster_kill 0 1 bc
    say "kill -9 and restart, before anybody could take over"
    verify "node b back at once: nothing is lost, through any node" restart_at_once 1
    say "kill -9 and restart of etcd"
    kill_etcd
    start_etcd
    verify "etcd back: each node has its share of the shards" each sees_all_shards
    verify "etcd back: nothing is lost, through any node" soon each all_notes_there
    verify "etcd back: the list is complete, through any node" each list_is_right
}
