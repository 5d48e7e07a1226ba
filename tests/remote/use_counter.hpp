#pragma once

// What tests of links do over each kind of them.

#include <atomic>
#include <chrono>
#include <expected>
#include <string>

#include <unistd.h>

#include <heph/core/task.hpp>
#include <heph/remote/node.hpp>

#include "remote/nodes.hpp"

namespace heph::remote::testing {

/// Gives a Unix name that no other test has.
inline std::string unique_unix_name() {
    static std::atomic<int> made = 0;
    return "unix:@heph-remote-test-" + std::to_string(::getpid()) + '-' + std::to_string(made++);
}

/// Uses a counter of another node in every way; gives what went wrong first.
inline task<std::string> use_counter(node from, std::string other) {
    auto found = co_await from.find<counter_message>(other, "counter", plenty);
    if (!found) { co_return "find: " + std::string(to_string(found.error())); }
    for (int i = 1; i <= 100; ++i) {
        const auto sent = co_await found->send(add(i));
        if (!sent) { co_return "send: " + std::string(to_string(sent.error())); }
    }
    const auto total = co_await found->rpc<get_total>(plenty);
    if (total != 5050) { co_return "the total is wrong"; }
    const text large(std::string(3'000'000, 'x'));
    const auto echoed = co_await found->rpc(plenty, large);
    if (!echoed || echoed->body != large.body) { co_return "a large message came back changed"; }
    const auto dropped = co_await found->rpc<drop>(plenty);
    if (dropped != std::unexpected(failure::no_reply)) { co_return "a dropped call was answered"; }
    const auto held = co_await found->rpc<hold>(30ms);
    if (held != std::unexpected(failure::timed_out)) { co_return "a call had no deadline"; }
    const auto nobody = co_await from.find<counter_message>(other, "nobody", plenty);
    if (nobody) { co_return "found what nobody published"; }
    if (nobody.error() != failure::no_such_actor) { co_return "wrong reason"; }
    co_return std::string();
}

}  // namespace heph::remote::testing
