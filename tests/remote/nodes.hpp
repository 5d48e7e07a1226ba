#pragma once

// Nodes on loopback within a test, an actor to reach, and a connection that can be cut.

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <heph/core/log.hpp>
#include <heph/core/match.hpp>
#include <heph/core/rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/inbox/oneshot.hpp>
#include <heph/remote/node.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/timer.hpp>

namespace heph::remote::testing {

using namespace std::chrono_literals;

// Time enough for whatever has to happen, on a slow machine and with sanitizers.
inline constexpr auto plenty = 60s;

struct add {
    add() = default;
    explicit add(int by) : amount(by) {}
    int amount = 0;
};
HEPH_MESSAGE(add, "test.add", 1, amount)

struct text {
    text() = default;
    explicit text(std::string its_body) : body(std::move(its_body)) {}
    std::string body;
};
HEPH_MESSAGE(text, "test.text", 1, body)

using get_total = heph::rpc<void, int>;
using echo = heph::rpc<text, text>;
/// Is answered when the caller gives up, that is never.
struct hold : heph::rpc<void, void> {
    using heph::rpc<void, void>::rpc;
    static constexpr std::string_view message_name = "test.hold";
};
/// Is dropped.
struct drop : heph::rpc<void, void> {
    using heph::rpc<void, void>::rpc;
    static constexpr std::string_view message_name = "test.drop";
};
/// Ends the actor.
struct finish {
    bool now = true;
};
HEPH_MESSAGE(finish, "test.finish", 1, now)

using counter_message = std::variant<add, get_total, echo, hold, drop, finish>;

/// What a counter has seen.
struct counter_state {
    std::atomic<int> holding = 0;
    std::atomic<int> given_up = 0;
    std::vector<int> amounts;  ///< Of the counter's worker.
};

template <typename RT>
task<> counter_on(context<counter_message, RT> ctx, std::shared_ptr<counter_state> state) {
    int total = 0;
    while (auto message = co_await ctx.receive()) {
        if (std::holds_alternative<finish>(*message)) { co_return; }
        if (auto* call = std::get_if<hold>(&*message)) {
            ++state->holding;
            co_await call->closed();
            --state->holding;
            ++state->given_up;
            continue;
        }
        heph::match(
            *message,
            [&](add& m) {
                total += m.amount;
                state->amounts.push_back(m.amount);
            },
            [&](get_total& call) { call.respond(total); },
            [&](echo& call) { call.respond(std::move(call.request())); }, [](auto&) {});
    }
}

inline task<> counter(rt::local_context<counter_message> ctx,
                      std::shared_ptr<counter_state> state) {
    return counter_on(std::move(ctx), std::move(state));
}

inline actor_ref<counter_message> spawn_counter(rt::worker worker,
                                                std::shared_ptr<counter_state> state,
                                                std::size_t inbox_size = 8) {
    actor_options made;
    made.inbox_size = inbox_size;
    return worker.spawn(std::move(made), no_supervisor(), actor_fn(counter), std::move(state));
}

inline rt::tls::secret secret_of(std::string_view text) {
    auto made = rt::tls::secret::copy_of(std::as_bytes(std::span(text)));
    if (!made) { throw std::logic_error("a bad secret in a test"); }
    return std::move(*made);
}
inline rt::tls::secret shared_secret() { return secret_of("a secret that the nodes share"); }

/// Links that notice everything soon.
inline link_settings quick_links() {
    link_settings quick;
    quick.handshake_time = 5000ms;
    quick.heartbeat = 200ms;
    quick.silence = 5000ms;
    quick.patience = 5000ms;
    quick.pause_min = 10ms;
    quick.pause_max = 100ms;
    quick.goodbye_time = 500ms;
    quick.drain_time = 50ms;
    quick.refusals_max = 0;
    quick.listen_retry = 0ms;
    return quick;
}

inline options quick_options(std::string name) {
    options made(std::move(name), shared_secret());
    made.links(quick_links());
    return made;
}

inline options quick_plain_text(std::string name) {
    options made = options::insecure_plain_text(std::move(name));
    made.links(quick_links());
    return made;
}

inline options listening(std::string name) {
    options made = quick_options(std::move(name));
    made.listen("127.0.0.1:0");
    return made;
}

/// Gives an address of this machine, such as a node's, by the machine's name.
inline std::string by_name(std::string_view address) {
    return "localhost" + std::string(address.substr(address.rfind(':')));
}

inline node start(rt::worker worker, const options& settings) {
    auto started = node::start(worker, settings);
    if (!started) { throw std::runtime_error(started.error().message()); }
    return std::move(*started);
}

/// Polls a condition until it holds; false when that takes too long.
template <std::predicate Condition>
task<bool> eventually(Condition condition, std::chrono::milliseconds within = plenty) {
    const auto until = rt::clock::now() + within;
    while (!condition()) {
        if (rt::clock::now() > until) { co_return false; }
        co_await rt::timer(2ms);
    }
    co_return true;
}

/// Runs a test's body on worker 0 of a runtime, asks for a stop when it is done, and waits for the
/// end. The body is a captureless coroutine function. Its exceptions are the test's.
inline void run_nodes(std::function<task<>(rt::worker)> body, std::size_t workers = 1) {
    struct outcome {
        std::exception_ptr thrown;
        bool in_time = false;
    } seen;
    static constexpr auto guard = [](rt::worker worker, task<> running, outcome* into) -> task<> {
        try {
            rt::deadline bounded(240s, std::move(running));
            into->in_time = (co_await bounded).has_value();
        } catch (...) { into->thrown = std::current_exception(); }
        worker.request_stop();
    };
    auto runtime = rt::setup{}
                       .name("test")
                       .threads(workers)
                       .ignore_signals()
                       .stop_grace(std::chrono::milliseconds(10'000))
                       .build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](rt::worker& worker) {
        if (worker.index() != 0) { return; }
        worker.spawn_future(guard(worker, body(worker), &seen));
    });
    const auto begun = rt::clock::now();
    const auto ended = runtime->start();
    const auto took = rt::clock::now() - begun;
    if (seen.thrown) { std::rethrow_exception(seen.thrown); }
    CHECK(seen.in_time);
    if (!ended) { FAIL(ended.error().message()); }
    CHECK(took < 260s);
}

/// Collects what is logged while it lives.
class log_lines {
public:
    log_lines() {
        lines().clear();
        previous_ = set_log_handler(&take);
    }
    log_lines(const log_lines&) = delete;
    log_lines& operator=(const log_lines&) = delete;
    ~log_lines() { set_log_handler(previous_); }

    /// Counts the lines that contain a text.
    [[nodiscard]] static std::size_t with(std::string_view part) {
        const std::lock_guard lock(mutex());
        return static_cast<std::size_t>(std::ranges::count_if(
            lines(), [part](const std::string& line) { return line.contains(part); }));
    }
    [[nodiscard]] static std::string all() {
        const std::lock_guard lock(mutex());
        std::string joined;
        for (const auto& line : lines()) { joined += line + '\n'; }
        return joined;
    }

private:
    static void take(log_level, std::string_view line) noexcept {
        const std::lock_guard lock(mutex());
        lines().emplace_back(line);
    }
    static std::mutex& mutex() {
        static std::mutex of_lines;
        return of_lines;
    }
    static std::vector<std::string>& lines() {
        static std::vector<std::string> collected;
        return collected;
    }

    log_handler previous_;
};

/// Polls its sends in their order, until all of them are done. Gives how many succeeded.
class sends_at_once {
public:
    using value_type = std::size_t;
    using sending = heph::task<std::expected<void, failure>>;

    void add(sending each) { all_.push_back(std::make_unique<one>(std::move(each))); }
    heph::polled<std::size_t> poll(const heph::waker& waker) {
        std::size_t done = 0;
        std::size_t good = 0;
        for (const auto& each : all_) {
            if (!each->result) {
                auto now = each->running.poll(waker);
                if (now.is_ready()) { each->result = now.value().has_value(); }
            }
            done += each->result ? 1U : 0U;
            good += each->result.value_or(false) ? 1U : 0U;
        }
        if (done < all_.size()) { return heph::pending; }
        return heph::polled<std::size_t>(std::in_place, good);
    }
    [[nodiscard]] std::size_t done() const {
        return static_cast<std::size_t>(
            std::ranges::count_if(all_, [](const auto& each) { return each->result.has_value(); }));
    }

private:
    struct one {
        explicit one(sending each) : running(std::move(each)) {}
        sending running;
        std::optional<bool> result;
    };
    std::vector<std::unique_ptr<one>> all_;
};

/// Stands between a node that dials and one that accepts; its connections can be cut, and held up.
/// Its tasks end with the runtime's stop.
class proxy {
public:
    /// Forwards to a port on loopback.
    proxy(rt::worker worker, std::string_view to) : shared_(std::make_shared<shared>()) {
        auto [closer, closing] = inbox::oneshot<bool>();
        shared_->closer = std::move(closer);
        lead_to(to);
        auto listener = rt::net::tcp_listener::bind(rt::net::endpoint::loopback(0));
        shared_->address = listener->local_endpoint()->to_string();
        worker.spawn_future(accept_all(worker, std::move(*listener), std::move(closing), shared_));
    }

    [[nodiscard]] const std::string& address() const { return shared_->address; }
    void lead_to(std::string_view address) { shared_->to = *rt::net::endpoint::parse(address); }
    /// Ends all connections there are.
    void cut() {
        for (const auto& each : std::exchange(shared_->streams, {})) {
            each->shutdown(rt::net::shutdown_how::both);
        }
    }
    /// Listens no more.
    void close() { (void)std::move(*shared_->closer).try_send(true); }
    /// Ends each new connection at once.
    void refuse(bool yes) { shared_->refuses = yes; }
    /// Swallows all that comes.
    void swallow(bool yes) { shared_->swallows = yes; }
    [[nodiscard]] int connections() const { return shared_->connections; }

private:
    using stream_pointer = std::shared_ptr<rt::net::tcp_stream>;
    struct shared {
        std::string address;
        rt::net::endpoint to;
        std::vector<stream_pointer> streams;
        bool refuses = false;
        bool swallows = false;
        std::optional<inbox::oneshot_sender<bool>> closer;
        int connections = 0;
    };

    static task<> accept_all(rt::worker worker, rt::net::tcp_listener listener,
                             inbox::oneshot_receiver<bool> closing, std::shared_ptr<shared> with);
    static task<> forward(stream_pointer from, stream_pointer to, std::shared_ptr<shared> with);

    std::shared_ptr<shared> shared_;
};

}  // namespace heph::remote::testing
