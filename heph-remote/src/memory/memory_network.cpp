#include <heph/remote/memory_network.hpp>

#include <algorithm>
#include <random>
#include <utility>

#include "memory/memory_core.hpp"
#include "node/node_starter.hpp"

namespace heph::remote {

namespace detail {

namespace {

class [[nodiscard]] never_stopping {
public:
    using value_type = void;
    never_stopping() noexcept = default;
    polled<void> poll(const waker&) noexcept { return pending; }
};

/// Runs a node's tasks on a `step_executor`. It has no sockets.
class step_environment final : public environment {
public:
    step_environment(heph::testing::step_runtime run, std::string name)
        : run_(run), clock_(run.clock()), name_(std::move(name)) {
        // Nodes are to differ, and each to be the same in the next run.
        std::seed_seq seed(name_.begin(), name_.end());
        random_.seed(seed);
    }

    void spawn(task<> running) override { run_.spawn_future(std::move(running), name_); }
    steady_time now() const override { return clock_.now(); }
    task<> timer_at(steady_time when) override { return wait_for(clock_.timer_at(when)); }
    steady_time end_of(const deadline& until) const override {
        const auto after = until.after();
        return after ? now() + *after : until.at();
    }
    task<> stopping() override {
        never_stopping nobody_says;
        co_await nobody_says;
    }
    std::uint32_t random() override { return static_cast<std::uint32_t>(random_()); }
    task<stream_result> connect(node_address) override {
        co_return stream_result(std::unexpect, std::make_error_code(std::errc::not_supported));
    }
    task<rt::net::resolved> resolve(host_name) override {
        co_return rt::net::resolved(std::unexpect, std::make_error_code(std::errc::not_supported));
    }
    task<stream_result> connect_any(std::vector<rt::net::endpoint>) override {
        co_return stream_result(std::unexpect, std::make_error_code(std::errc::not_supported));
    }
    listen_result listen(const node_address&) override {
        return std::unexpected(std::make_error_code(std::errc::not_supported));
    }

private:
    // Takes the timer, as this may be gone before it.
    static task<> wait_for(heph::testing::virtual_timer timer) { co_await timer; }

    heph::testing::step_runtime run_;
    heph::testing::virtual_clock clock_;
    std::string name_;
    std::mt19937 random_;
};

}  // namespace

}  // namespace detail

memory_network::memory_network() : core_(std::make_shared<detail::memory_core>()) {}

void memory_network::cut(std::string_view name) { core_->cut(name); }

void memory_network::refuse(std::string_view name, bool yes) {
    core_->change(name, [yes](detail::memory_core::place& at) { at.refuses = yes; });
}

void memory_network::stall(std::string_view name, direction way, bool yes) {
    core_->change(name, [way, yes](detail::memory_core::place& at) {
        (way == direction::from_dialer ? at.stalls_from_dialer : at.stalls_to_dialer) = yes;
    });
}

void memory_network::delay(std::string_view name, std::chrono::steady_clock::duration by) {
    core_->change(name, [by](detail::memory_core::place& at) { at.delay = by; });
}

void memory_network::buffer(std::string_view name, std::size_t bytes) {
    core_->change(name, [bytes](detail::memory_core::place& at) {
        at.buffer_bytes = std::max<std::size_t>(bytes, 1);
    });
}

std::size_t memory_network::connections(std::string_view name) const {
    return core_->connections(name);
}

options& options::network(const memory_network& of) {
    memory_ = of.core();
    return *this;
}

std::expected<node, rt::error> start_stepped(heph::testing::step_executor& run,
                                             const options& settings) {
    return detail::node_starter::start(
        std::make_shared<detail::step_environment>(run.runtime(), settings.name()), settings);
}

}  // namespace heph::remote
