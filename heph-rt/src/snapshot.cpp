#include <heph/rt/snapshot.hpp>
#include <heph/rt/worker.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "runtime_core.hpp"
#include "snapshot_request.hpp"
#include "worker_core.hpp"

namespace heph::rt {

namespace {

std::string milliseconds(std::chrono::nanoseconds time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()) +
           " ms";
}

void add_worker(std::string& text, std::size_t index, const worker_metrics& worker) {
    text += "worker " + std::to_string(index) + ": up " + milliseconds(worker.uptime) + ", CPU " +
            milliseconds(worker.cpu_time) + ", in polls " + milliseconds(worker.run_time) + ", " +
            std::to_string(worker.polls) + " polls, " + std::to_string(worker.turns) + " turns, " +
            std::to_string(worker.sleeps) + " sleeps, " + std::to_string(worker.remote_wakes) +
            " wakes by others, " + std::to_string(worker.stolen) + " stolen, " +
            std::to_string(worker.processes) + " processes, " + std::to_string(worker.ready) +
            " ready, " + std::to_string(worker.timers) + " timers";
    if (worker.next_timer) { text += ", the next in " + milliseconds(*worker.next_timer); }
    if (worker.direct_slots != 0) {
        text += ", " + std::to_string(worker.direct_in_use) + " of " +
                std::to_string(worker.direct_slots) + " direct descriptors";
    }
    text += '\n';
}

void add_process(std::string& text, const process_snapshot& process) {
    constexpr std::array<std::string_view, 4> states{"waiting", "ready", "running", "sync"};
    text += "  ";
    text += process.name.empty() ? std::string_view("(no name)") : std::string_view(process.name);
    text += ": ";
    text += states[static_cast<std::size_t>(process.state)];
    if (process.state == process_state::on_own_thread) {
        text += " on a thread of its own";
    } else {
        text += process.worker ? " on worker " + std::to_string(*process.worker) : ", thread-safe";
    }
    text += ", ran " + milliseconds(process.run_time);
    text += ", " + std::to_string(process.inbox_depth) + " in the inbox, " +
            std::to_string(process.received) + " received, " + std::to_string(process.restarts) +
            " restarts\n";
}

}  // namespace

std::string to_text(const runtime_snapshot& snapshot, std::size_t processes_max) {
    std::string text;
    for (std::size_t i = 0; i < snapshot.metrics.workers.size(); ++i) {
        add_worker(text, i, snapshot.metrics.workers[i]);
    }
    text += std::to_string(snapshot.metrics.shared_ready) + " thread-safe processes are ready\n";
    for (const std::size_t each : snapshot.silent) {
        text += "worker " + std::to_string(each) + " does not answer: a poll takes long\n";
    }
    std::vector<const process_snapshot*> longest;
    longest.reserve(snapshot.processes.size());
    for (const process_snapshot& each : snapshot.processes) { longest.push_back(&each); }
    std::sort(longest.begin(), longest.end(), [](const auto* left, const auto* right) {
        // They are elements of one vector: equals stay in its order.
        return left->run_time != right->run_time ? left->run_time > right->run_time : left < right;
    });
    const std::size_t shown = std::min(processes_max, longest.size());
    for (std::size_t i = 0; i < shown; ++i) { add_process(text, *longest[i]); }
    if (shown != longest.size()) {
        text += "  and " + std::to_string(longest.size() - shown) + " more\n";
    }
    return text;
}

namespace detail {

process_snapshot describe(const process_header& process, process_state state,
                          std::optional<std::size_t> worker) {
    process_snapshot described;
    described.name = process.vtable->name(process);
    described.state = state;
    described.priority = process.priority();
    described.worker = worker;
    described.run_time = std::chrono::nanoseconds(process.run_time.load(std::memory_order_relaxed));
    const actor_counts counts = process.vtable->counts(process);
    described.inbox_depth = counts.queued;
    described.received = counts.received;
    described.restarts = counts.restarts;
    return described;
}

runtime_snapshot runtime_core::snapshot(std::chrono::milliseconds patience) {
    const auto until =
        std::chrono::steady_clock::now() +
        std::clamp(patience, std::chrono::milliseconds::zero(), snapshot_patience_max);
    runtime_snapshot now;
    std::vector<std::size_t> asked;
    for (std::size_t i = 0; i < links_.size(); ++i) {
        if (links_[i]->counters().is_running()) { asked.push_back(i); }
    }
    const auto request = std::make_shared<snapshot_request>(asked);
    for (const std::size_t each : asked) {
        links_[each]->ask(request);
        // One that ended meanwhile may have looked for questions for the last time: `ask` took the
        // lock after it then, and sees that it does not run any more.
        if (!links_[each]->counters().is_running()) { request->answer(each, {}); }
    }
    worker_core* here = current_worker();
    if (here != nullptr && &here->runtime() == this) {
        // This worker has to answer itself; and others that ask it at the same time.
        constexpr std::chrono::milliseconds step(1);
        do {
            here->answer_requests();
        } while (!request->wait_until(std::min(until, std::chrono::steady_clock::now() + step)) &&
                 std::chrono::steady_clock::now() < until);
    } else {
        (void)request->wait_until(until);
    }
    request->take(now);
    add_shared_to(now);
    sync_.describe(now.processes);
    now.metrics = metrics();
    return now;
}

void runtime_core::add_shared_to(runtime_snapshot& into) {
    // Who is in the registry has its future, and that its name.
    const std::lock_guard lock(registry_);
    for (const process_header* each = shared_live_; each != nullptr; each = each->live_next) {
        const std::uint8_t state = each->state.load(std::memory_order_relaxed);
        const auto what = (state & process_header::running) != 0 ? process_state::running
                          : (state & process_header::woken) != 0 ? process_state::ready
                                                                 : process_state::waiting;
        into.processes.push_back(describe(*each, what, std::nullopt));
    }
}

runtime_snapshot snapshot_of(runtime_core& runtime, std::chrono::milliseconds patience) {
    return runtime.snapshot(patience);
}

void worker_core::answer_requests() {
    for (const auto& request : link_.take_requests()) {
        std::vector<process_snapshot> mine;
        mine.reserve(processes_);
        for (const process_header* each = live_; each != nullptr; each = each->live_next) {
            const auto state = (each->local & process_header::running) != 0 ? process_state::running
                               : (each->local & process_header::woken) != 0
                                   ? process_state::ready
                                   : process_state::waiting;
            mine.push_back(describe(*each, state, index_));
        }
        request->answer(index_, std::move(mine));
    }
}

}  // namespace detail

}  // namespace heph::rt
