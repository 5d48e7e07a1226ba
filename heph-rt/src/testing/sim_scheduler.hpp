#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <heph/rt/scheduler.hpp>

#include "sim_host.hpp"
#include "sim_network.hpp"

namespace heph::rt::detail {

/// Runs any of the ready processes next, by the seed. Gives each a number for the trace, in the
/// order in which it sees them first.
///
/// *Thread safety*: unsafe.
class sim_scheduler final : public scheduler {
public:
    explicit sim_scheduler(sim_host& host) noexcept : host_(host) {}

    void push(schedulable& ready) noexcept override {
        if (ready.virtual_time == 0) { ready.virtual_time = ++numbered_; }
        ready_.push_back(&ready);
    }
    [[nodiscard]] schedulable* pop() noexcept override {
        if (ready_.empty()) { return nullptr; }
        sim_network& network = host_.network();
        const std::size_t chosen = network.random().below(ready_.size());
        schedulable* const next = std::exchange(ready_[chosen], ready_.back());
        ready_.pop_back();
        std::string line = "runs " + std::to_string(next->virtual_time);
        if (const auto name = next->name(); !name.empty()) {
            line += ' ';
            line += name;
        }
        network.note(&host_, line);
        return next;
    }
    [[nodiscard]] bool empty() const noexcept override { return ready_.empty(); }

private:
    sim_host& host_;
    std::vector<schedulable*> ready_;
    std::uint64_t numbered_ = 0;
};

}  // namespace heph::rt::detail
