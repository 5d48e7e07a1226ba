# shellcheck shell=bash disable=SC2034,SC2154
# What the scripts in tools/ share. Sourced by bash, with `set -euo pipefail`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What building and testing takes, what the sanitizers and tools/lint take, tools/bench, and
# tests/interop/run.
build_packages=(cmake ninja-build g++ ccache pkg-config liburing-dev libspdlog-dev node-llhttp
    libboost1.81-dev libcli11-dev libssl-dev openssl zlib1g-dev libbrotli-dev nlohmann-json3-dev catch2
    curl python3)
# What some tests run against; they say that they are left out where it is missing.
test_packages=(etcd-server redis-tools iproute2 nftables)
clang_packages=(clang-19 libclang-rt-19-dev)
lint_packages=("${clang_packages[@]}" clang-tools-19 clang-format-19)
bench_packages=(wrk nginx-light h2o nodejs)
interop_packages=(curl wget wrk apache2-utils nginx-light python3 python3-websockets nodejs node-ws
    chromium microsocks)
core_bench_packages=(libcaf-dev erlang-base)

say() { printf '== %s\n' "$*"; }
fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Installs those of the named Debian packages that are missing.
need_packages() {
    local package missing=() as_root=()
    if ! command -v dpkg-query >/dev/null; then
        say "This is no Debian: assuming that these are here: $*"
        return
    fi
    for package in "$@"; do
        # shellcheck disable=SC2016  # dpkg-query expands it.
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        command -v sudo >/dev/null ||
            fail "these packages are missing, and there is no sudo: as root, run
    apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "Installing with apt: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq || fail "apt-get update failed: is the network there?"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get could not install: ${missing[*]}"
}

# Prints how many compilers to run at once: one a processor, but each wants about 1 GB.
build_jobs() {
    local jobs memory
    jobs=$(nproc)
    memory=$(awk '/^MemAvailable:/ { print int($2 / 1000000) }' /proc/meminfo)
    if ((memory < jobs)); then jobs=$memory; fi
    if ((jobs < 1)); then jobs=1; fi
    printf '%s' "$jobs"
}

# Configures a preset: `configure_preset NAME [cmake argument...]`. With HEPH_QUICK_BUILD=ON in the
# environment, for a build that is made once.
configure_preset() {
    local preset=$1 log=$root/build/$1/configure.log
    shift
    if [[ -n ${HEPH_QUICK_BUILD:-} ]]; then set -- "-DHEPH_QUICK_BUILD=$HEPH_QUICK_BUILD" "$@"; fi
    mkdir -p "${log%/*}"
    say "Configuring $preset in build/$preset"
    if ! (cd "$root" && cmake --preset "$preset" "$@") >"$log" 2>&1; then
        cat "$log" >&2
        fail "cmake could not configure $preset; what it said is above and in $log"
    fi
}

# Builds targets of a preset: `build_preset NAME [target...]`. Progress is for a terminal only: a
# log holds what the compilers say.
build_preset() {
    local preset=$1 quiet=()
    shift
    [[ -t 1 ]] || quiet=(-- --quiet)
    say "Building $preset${*:+: $*}"
    cmake --build "$root/build/$preset" --parallel "$(build_jobs)" ${1+--target "$@"} \
        "${quiet[@]}" ||
        fail "the build of $preset failed; the errors are above"
}
