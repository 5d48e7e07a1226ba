# shellcheck shell=bash disable=SC2034,SC2154
# Drives the demonstration once from end to end. Sourced by tools/demo.

checked=0
failed=0

ok() {
    checked=$((checked + 1))
    printf '  ok      %s\n' "$1"
}
bad() {
    failed=$((failed + 1))
    printf '  FAILED  %s\n' "$1"
}
# `verify TEXT COMMAND...`: the command has to succeed.
verify() {
    local text=$1
    shift
    if "$@"; then ok "$text"; else bad "$text"; fi
}

url() { printf 'http://127.0.0.1:%s%s' "${http_port[$1]}" "$2"; }

# `ask NODE PATH [curl argument...]` sets `status`, `type` and `retry_after`; the body goes to
# $scratch/body, the head to $scratch/head.
ask() {
    local node=$1 path=$2
    shift 2
    status=$(curl -sS --max-time 10 -o "$scratch/body" -D "$scratch/head" -w '%{http_code}' \
        "$@" "$(url "$node" "$path")" 2>"$scratch/curl-error") || status="no answer"
    type=$(header content-type)
    retry_after=$(header retry-after)
}
header() { sed -n "s/^$1: *//Ip" "$scratch/head" 2>/dev/null | tr -d '\r' | tail -n 1; }

# `expect STATUS NODE PATH [curl argument...]`
expect() {
    local wanted=$1
    shift
    ask "$@"
    [[ $status == "$wanted" ]] && return
    printf '          %s %s: %s instead of %s\n' "${node_name[$1]}" "$2" "$status" "$wanted"
    return 1
}

is_body() { cmp -s "$scratch/body" "$1"; }

# `ask_each NODE METHOD ID...` asks for many notes with one curl. $scratch/answers gets a line for
# each, `ID STATUS RETRY-AFTER TYPE`, with - for what is not there; $scratch/got/ID gets the body. A
# PUT sends $scratch/notes/ID.
ask_each() {
    local node=$1 method=$2 id
    shift 2
    rm -rf "$scratch/got"
    mkdir "$scratch/got"
    for id in "$@"; do
        if [[ $id != "$1" ]]; then echo next; fi
        printf 'url = "%s"\nrequest = "%s"\nmax-time = 10\nsilent\noutput = "%s"\n' \
            "$(url "$node" "/notes/$id")" "$method" "$scratch/got/$id"
        printf 'write-out = "%s %%{http_code} %%header{retry-after}- %%{content_type}\\n"\n' "$id"
        if [[ $method == PUT ]]; then
            printf 'header = "content-type: application/x-check"\ndata-binary = "@%s"\n' \
                "$scratch/notes/$id"
        fi
    done >"$scratch/requests"
    curl --config "$scratch/requests" >"$scratch/answers" 2>"$scratch/curl-error" || true
}

# `each_is STATUS COUNT`: there are so many answers, all with this status.
each_is() {
    local wanted=$1 count=$2 id status rest
    while read -r id status rest; do
        if [[ $status != "$wanted" ]]; then
            echo "          $id: $status instead of $wanted"
            return 1
        fi
        count=$((count - 1))
    done <"$scratch/answers"
    ((count == 0))
}

notes_count=24
mapfile -t note_ids < <(seq -f 'check-%g' 0 $((notes_count - 1)))

# Writes half of the notes through each node.
write_notes() {
    local n half
    mkdir -p "$scratch/notes"
    for ((n = 0; n < notes_count; ++n)); do
        { printf 'Note %s, %s\n' "$n" "$1"; head -c $((n * 997)) /dev/urandom; } \
            >"$scratch/notes/check-$n"
    done
    half=$((notes_count / 2))
    ask_each 0 PUT "${note_ids[@]:0:half}"
    each_is "$2" "$half" || return
    ask_each 1 PUT "${note_ids[@]:half}"
    each_is "$2" $((notes_count - half))
}

# Every note is there, as it was written, through the given node.
all_notes_there() {
    local id
    ask_each "$1" GET "${note_ids[@]}"
    each_is 200 "$notes_count" || return
    for id in "${note_ids[@]}"; do
        cmp -s "$scratch/got/$id" "$scratch/notes/$id" ||
            { echo "          $id has other bytes"; return 1; }
        grep -q "^$id 200 - application/x-check\$" "$scratch/answers" ||
            { echo "          $(grep "^$id " "$scratch/answers"): wrong type"; return 1; }
    done
}

# The list, through the given node, has exactly these notes.
list_is_right() {
    expect 200 "$1" /notes || return
    printf '%s\n' "${note_ids[@]}" | sort >"$scratch/wanted"
    sort "$scratch/body" | cmp -s - "$scratch/wanted"
}

hello_is_right() {
    expect 200 "$1" /hello || return
    printf 'Hello, World!' | cmp -s - "$scratch/body" && [[ $type == text/plain* ]]
}

page_is_right() {
    expect 200 "$1" / || return
    [[ $type == text/html* ]] && grep -qi '<html' "$scratch/body"
}

echo_is_right() {
    head -c 300000 /dev/urandom >"$scratch/sent"
    expect 200 "$1" /echo -X POST -H 'transfer-encoding: chunked' --data-binary "@$scratch/sent" &&
        is_body "$scratch/sent"
}

# `is_problem STATUS NODE PATH [curl argument...]`
is_problem() { expect "$@" && [[ $type == application/problem+json* ]]; }

too_large_is_refused() {
    head -c 65537 /dev/zero >"$scratch/large"
    is_problem 413 "$1" /notes/large -X PUT --data-binary "@$scratch/large" &&
        is_problem 404 "$1" /notes/large
}

garbage_is_refused() {
    local answer
    answer=$( (exec 3<>"/dev/tcp/127.0.0.1/${http_port[$1]}" && printf 'NONSENSE\0\r\n\r\n' >&3 &&
        timeout 5 head -c 12 <&3) 2>/dev/null | tr -d '\0')
    [[ $answer == "HTTP/1.1 400" ]]
}

node_port_survives_garbage() {
    (exec 3<>"/dev/tcp/127.0.0.1/${node_port[$1]}" && head -c 2000 /dev/urandom >&3) 2>/dev/null
    all_notes_there "$((($1 + 1) % ${#nodes[@]}))"
}

deleting_works() {
    printf 'soon gone' >"$scratch/gone"
    expect 201 0 /notes/gone -X PUT --data-binary "@$scratch/gone" &&
        expect 204 1 /notes/gone -X DELETE && is_problem 404 0 /notes/gone &&
        is_problem 404 1 /notes/gone -X DELETE
}

# Asks a node for each note, which is either served or answered with 503 and Retry-After. Sets
# `served` and `away` to how many are, and `lost_note` to one that is away.
count_served_and_away() {
    local id status retry_after type
    served=0
    away=0
    ask_each "$1" GET "${note_ids[@]}"
    while read -r id status retry_after type; do
        if [[ $status == 200 ]] && cmp -s "$scratch/got/$id" "$scratch/notes/$id"; then
            served=$((served + 1))
        elif [[ $status == 503 && $retry_after != - && $type == application/problem+json* ]]; then
            away=$((away + 1))
            lost_note=$id
        else
            printf '          %s: %s, Retry-After "%s"\n' "$id" "$status" "$retry_after"
            return 1
        fi
    done <"$scratch/answers"
    printf '          %s served, %s answered with 503\n' "$served" "$away"
    ((served + away == notes_count))
}

# With the other node away, there are some of both.
away_is_told() {
    local served away
    count_served_and_away "$1" || return
    ((served > 0 && away > 0)) || return
    is_problem 503 "$1" "/notes/$lost_note" -X PUT --data-binary 'not now'
}

# After a restart, the link comes back by itself within 20 seconds.
recovers() {
    local deadline=$((SECONDS + 20))
    until ask "$1" "/notes/$lost_note" && [[ $status == 200 ]]; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

# Writes one note after the other through the given node until it is told to stop, and records
# those that were acknowledged.
write_until_stopped() {
    local node=$1 n=0 status
    while [[ ! -e $scratch/stop-writing ]]; do
        printf 'burst note %s of %s\n' "$n" "$BASHPID" >"$scratch/burst"
        status=$(curl -s --max-time 10 -o /dev/null -w '%{http_code}' -X PUT --data-binary \
            "@$scratch/burst" "$(url "$node" "/notes/burst-$n")") || true
        if [[ $status == 201 ]]; then cat "$scratch/burst" >"$scratch/acknowledged/burst-$n"; fi
        n=$((n + 1))
    done
}

# Kills the node in the middle of writes.
kill_while_writing() {
    local victim=$1 writer
    rm -rf "$scratch/stop-writing" "$scratch/acknowledged"
    mkdir "$scratch/acknowledged"
    write_until_stopped "$2" &
    writer=$!
    sleep 1
    kill_node "$victim"
    touch "$scratch/stop-writing"
    wait "$writer" || true
}

# Adds bytes to the node's file that are no record, as an interrupted write does.
tear_last_record() {
    local files
    mapfile -t files < <(find "$data/${node_name[$1]}" -type f -size +0)
    ((${#files[@]} == 1)) || { echo "          not one data file: ${files[*]}"; return 1; }
    head -c 100 /dev/urandom >>"${files[0]}"
}

# Every note that was acknowledged during the writes is there; then they are deleted again.
acknowledged_are_there() {
    local id ids
    mapfile -t ids < <(ls "$scratch/acknowledged")
    ((${#ids[@]})) || { echo "          nothing was acknowledged"; return 1; }
    ask_each "$1" GET "${ids[@]}"
    each_is 200 "${#ids[@]}" || return
    for id in "${ids[@]}"; do
        cmp -s "$scratch/got/$id" "$scratch/acknowledged/$id" ||
            { echo "          $id has other bytes"; return 1; }
    done
    printf '          %s notes were acknowledged before the kill\n' "${#ids[@]}"
}
remove_burst() {
    local ids
    expect 200 "$1" /notes || return
    mapfile -t ids < <(grep '^burst-' "$scratch/body")
    ask_each "$1" DELETE "${ids[@]}"
    each_is 204 "${#ids[@]}"
}

# `check_kill VICTIM WITNESS`
check_kill() {
    local victim=$1 witness=$2 name=${node_name[$1]}
    say "kill -9 of node $name, in the middle of writes"
    kill_while_writing "$victim" "$witness"
    verify "node $name away: 503 with Retry-After for its notes, the others are served" \
        away_is_told "$witness"
    verify "node $name away: the other node is still healthy" expect 200 "$witness" /healthz
    verify "node $name away: its file ends in a torn record" tear_last_record "$victim"
    start_node "$victim"
    wait_until_healthy "$victim"
    verify "node $name back: the torn record was found and cut off" \
        grep -q 'a torn write at byte' "$scratch/node-$name.log"
    verify "node $name back: its notes are served again" recovers "$witness"
    verify "node $name back: nothing is lost, through any node" each all_notes_there
    verify "node $name back: every acknowledged note is there" acknowledged_are_there "$witness"
    verify "node $name back: the notes written meanwhile can be deleted" remove_burst "$witness"
    verify "node $name back: the list is complete, through any node" each list_is_right
}

# `each COMMAND`: the command has to succeed for each node.
each() {
    local node
    for node in "${nodes[@]}"; do "$1" "$node" || return; done
}

pick_ports() {
    local port ports=()
    while ((${#ports[@]} < 8)); do
        port=$((20000 + RANDOM % 12000))
        if [[ " ${ports[*]} " != *" $port "* ]] && ! port_is_taken "$port"; then ports+=("$port"); fi
    done
    http_port=("${ports[@]:0:3}")
    node_port=("${ports[@]:3:3}")
    etcd_port=${ports[6]}
    etcd_peer_port=${ports[7]}
}

# Removes what the check left behind, unless it is needed to see what went wrong.
end_check() {
    local result=$?
    trap - EXIT
    stop_nodes || true
    if ((result == 0)); then
        rm -rf "$scratch"
        exit 0
    fi
    if [[ -d $scratch ]]; then
        for node in "${nodes[@]}"; do
            say "The last lines of node ${node_name[$node]}"
            tail -n 20 "$scratch/node-${node_name[$node]}.log" 2>/dev/null || true
        done
        say "Data and logs are kept in $scratch"
    fi
    exit 1
}

check_demo() {
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/heph-demo-check.XXXXXX")
    log_folder=$scratch
    data=${data:-$scratch/data}
    trap end_check EXIT
    trap 'exit 1' INT TERM HUP
    prepare_data "$data"
    pick_ports
    if [[ $cluster == yes ]]; then start_etcd; fi
    for node in "${nodes[@]}"; do start_node "$node"; done
    for node in "${nodes[@]}"; do wait_until_healthy "$node"; done
    if [[ $cluster == yes ]]; then
        verify "each node has its share of the shards" each sees_all_shards
    fi

    say "Using all nodes"
    verify "GET /hello says Hello, World!" each hello_is_right
    verify "GET / gives the page" each page_is_right
    verify "POST /echo gives 300,000 bytes back, chunked" each echo_is_right
    verify "PUT of $notes_count notes through two nodes: 201" write_notes "first" 201
    verify "PUT of the same notes, changed: 204" write_notes "second" 204
    verify "GET gives each note's bytes and type, through any node" each all_notes_there
    verify "GET /notes lists them all, through any node" each list_is_right
    verify "DELETE: 204; afterwards 404, as application/problem+json" deleting_works
    verify "PUT of more than 64 KiB: 413, and nothing is stored" each too_large_is_refused
    verify "garbage on the HTTP port: 400" each garbage_is_refused
    verify "garbage on the node port: the nodes stay linked" each node_port_survives_garbage
    if [[ $cluster == yes ]]; then
        check_cluster
    else
        check_kill 1 0
        check_kill 0 1
    fi
    say "Stopping all nodes"
    verify "all nodes stop cleanly when asked to" stop_nodes

    if ((failed)); then
        say "$checked checks passed, $failed failed"
        exit 1
    fi
    say "All $checked checks passed"
}
