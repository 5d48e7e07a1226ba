#pragma once

// Numbered messages from one node to another, with a record of what became of each.
//
// Lines of the ledger, where FLOW is RUN>RECEIVER, of a run of the sender:
//     A FLOW NUMBER    the sender's node took the message over
//     R FLOW NUMBER    it was refused at once, and is not sent again
//     U FLOW REASON    one that was taken over was reported as not, or perhaps not, delivered
//     G FLOW NUMBER    the receiver's actor got it

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/remote/node.hpp>
#include <heph/rt/timer.hpp>
#include <heph/rt/worker.hpp>

#include "ledger.hpp"

namespace cluster_test {

inline constexpr const char* sink_name = "sink";

/// Is one message of a flow.
struct numbered {
    std::string flow;
    std::uint64_t number = 0;
    std::string filling;
};
HEPH_MESSAGE(numbered, "cluster.numbered", 1, flow, number, filling)

/// Says how a flow is sent.
struct flow_plan {
    std::string peer;
    std::chrono::milliseconds pause{0};  ///< Between two bursts.
    std::uint64_t burst = 1;             ///< Messages at a time.
    std::uint64_t count = 0;             ///< 0: until all flows are told to end.
    std::size_t bytes = 0;               ///< Of filling.
};

/// What the flows of a node have done.
struct flow_totals {
    std::uint64_t accepted = 0;
    std::uint64_t refused = 0;
    std::uint64_t undelivered = 0;
    bool is_done = false;
};

/// Is what the flows of a node share; all of it belongs to the node's worker.
struct flow_book {
    flow_book(std::shared_ptr<const ledger> where, std::string run)
        : records(std::move(where)), label(std::move(run)) {}

    std::shared_ptr<const ledger> records;
    std::string label;  ///< Names this run of the node.
    std::map<std::string, flow_totals> totals;
    std::map<std::string, std::uint64_t> got;
    bool ends = false;
};

/// Records each message that comes.
inline heph::task<> run_sink(heph::rt::local_context<numbered> ctx,
                             std::shared_ptr<flow_book> book) {
    while (auto message = co_await ctx.receive()) {
        book->records->add("G " + message->flow + ' ' + std::to_string(message->number));
        ++book->got[message->flow];
    }
}

/// Sends one message after the other, and finds the receiver again whenever it is lost.
inline heph::task<> run_flow(heph::remote::node from, std::shared_ptr<flow_book> book,
                             flow_plan plan) {
    using namespace std::chrono_literals;
    numbered message;
    message.flow = book->label + '>' + plan.peer;
    message.filling.assign(plan.bytes, 'x');
    flow_totals& totals = book->totals[message.flow];
    heph::remote::remote_ref<numbered> receiver;
    while (!book->ends && (plan.count == 0 || message.number < plan.count)) {
        if (!receiver) {
            auto found = co_await from.find<numbered>(plan.peer, sink_name, 5s);
            if (found) {
                receiver = std::move(*found);
            } else {
                co_await heph::rt::timer(20ms);
            }
            continue;
        }
        const auto sent = co_await receiver.send(message);
        const auto line = ' ' + message.flow + ' ' + std::to_string(message.number);
        if (sent) {
            book->records->add('A' + line);
            ++totals.accepted;
        } else {
            book->records->add('R' + line);
            ++totals.refused;
            receiver = {};
        }
        ++message.number;
        if (message.number % plan.burst == 0) { co_await heph::rt::timer(plan.pause); }
    }
    totals.is_done = true;
}

}  // namespace cluster_test
