#pragma once

// Serving connections: a listener for each worker, and a task for each connection.
//
//     auto listeners = net::listen_on(address, 2);
//     auto server = net::tcp_server::over(std::move(*listeners), 2);
//     runtime.run_on_workers([server](rt::worker& worker) {
//         server->start(worker, echo);            // task<> echo(rt::worker, net::tcp_stream)
//     });

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>
#include <heph/inbox/future.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/net/successor.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>
#include <heph/rt/worker.hpp>

namespace heph::rt::net {

/// What a server allows on each worker.
struct serve_options {
    /// Connections that are served at a time. Further ones wait until one ends: a few dozen that
    /// were accepted already, and the others in the listener's backlog. After a stop, those of the
    /// backlog are left there, for a successor.
    std::size_t connections_max = 16 * 1024;
    /// How long accepting pauses after an error, such as `too_many_files_open`: twice as long after
    /// each further one, up to `pause_max`.
    std::chrono::milliseconds pause_first{5};
    std::chrono::milliseconds pause_max{1'000};
};

}  // namespace heph::rt::net

namespace heph::rt::detail {

/// Counts the connections of one worker, and wakes who waits for one to end. One worker's.
///
/// Several listeners of a worker may wait, each in a process of its own. All of them are woken, and
/// look whether there is room: a wake for one that has ended since would be lost.
class connection_count {
public:
    class [[nodiscard]] room_future {
    public:
        using value_type = void;
        room_future(connection_count& count, std::size_t most) noexcept
            : count_(&count), most_(most) {}
        // Before the first poll only, which links it.
        room_future(room_future&& other) noexcept : count_(other.count_), most_(other.most_) {}
        room_future& operator=(room_future&&) = delete;
        ~room_future() {
            if (link_ == nullptr) { return; }
            *link_ = next_;
            if (next_ != nullptr) { next_->link_ = link_; }
        }
        polled<void> poll(const waker& waker) noexcept {
            if (count_->current_ < most_) { return ready; }
            waker_ = waker;
            if (link_ == nullptr) {
                link_ = &count_->first_;
                next_ = std::exchange(count_->first_, this);
                if (next_ != nullptr) { next_->link_ = &next_; }
            }
            return pending;
        }

    private:
        friend class connection_count;
        connection_count* count_;
        std::size_t most_;
        room_future* next_ = nullptr;
        room_future** link_ = nullptr;  // What leads to this one, while it waits.
        waker waker_;
    };
    /// Waits until there are fewer than `most`. *Lifetime*: the count outlives it.
    room_future room(std::size_t most) noexcept { return {*this, most}; }
    [[nodiscard]] std::size_t current() const noexcept { return current_; }
    void add() noexcept { ++current_; }
    void remove() noexcept {
        --current_;
        for (room_future* each = first_; each != nullptr; each = each->next_) {
            std::exchange(each->waker_, waker()).wake();
        }
    }

private:
    std::size_t current_ = 0;
    room_future* first_ = nullptr;
};

/// Holds a place in a count.
class counted_connection {
public:
    explicit counted_connection(std::shared_ptr<connection_count> in) noexcept
        : count_(std::move(in)) {
        count_->add();
    }
    counted_connection(counted_connection&&) noexcept = default;
    counted_connection& operator=(counted_connection&&) = delete;
    ~counted_connection() {
        if (count_) { count_->remove(); }
    }

private:
    std::shared_ptr<connection_count> count_;
};

/// Writes a line about an error of accepting, or about what a connection's task threw.
void log_accept_error(std::error_code failure) noexcept;
void log_connection_failure(const std::exception_ptr& failure) noexcept;

/// Tells what an exception of accepting means.
[[nodiscard]] std::error_code accept_error_of(const std::exception_ptr& thrown) noexcept;

/// Takes a connection that the listener accepted already; gives nothing when there is none. Asks
/// for no others.
template <typename Listener>
class [[nodiscard]] accept_at_once {
public:
    using accepted = typename decltype(std::declval<Listener&>().accept())::value_type;
    using value_type = std::optional<accepted>;
    explicit accept_at_once(Listener& from) noexcept : listener_(&from) {}
    polled<value_type> poll(const waker& /*waker*/) {
        auto taken = listener_->take_accepted();
        if (!taken) { return polled<value_type>(std::in_place); }
        return polled<value_type>(std::in_place, accepted(std::in_place, std::move(*taken)));
    }

private:
    Listener* listener_;
};

/// So many of those that wait are taken at once.
inline constexpr std::size_t taken_at_once = 64;
/// No more wait for a socket, unless the administrator says so (`net.core.somaxconn`).
inline constexpr std::size_t backlog_usual = 4096;

/// Takes connections that wait for a listening socket: up to `most`, and no more than
/// `taken_at_once`. Does not wait.
[[nodiscard]] std::vector<net::socket_handle> take_waiting(int descriptor, std::size_t most);

/// Ends a listener, and takes up to `most` of the connections that wait for it then. The others are
/// for who else has the socket.
///
/// The kernel wakes one of those who wait for a connection, and that may be who is about to end:
/// another process on the same socket would not learn of it before the next one comes.
template <typename Listener>
task<std::vector<net::socket_handle>> end_listening(Listener listener,
                                                    std::size_t most = backlog_usual) {
    std::vector<net::socket_handle> waiting;
    const auto copy = rt::duplicate(listener.descriptor());
    { const Listener ended = std::move(listener); }
    // Its accept is given up at the end of this turn.
    co_await timer(std::chrono::milliseconds(1));
    if (!copy) { co_return waiting; }
    for (;;) {
        auto taken = take_waiting(copy->get(), most - waiting.size());
        const bool is_last = taken.size() < taken_at_once;
        for (net::socket_handle& each : taken) { waiting.push_back(std::move(each)); }
        if (is_last) { co_return waiting; }
        co_await yield();
    }
}

// It owns what it counts, also before it first runs.
inline task<> serve_one(counted_connection held, task<> serving) {
    std::exception_ptr failure;
    try {
        co_await std::move(serving);
    } catch (...) { failure = std::current_exception(); }
    if (failure) { log_connection_failure(failure); }
    (void)held;
}

/// Runs the task of a connection. One that cannot be made, or run, is a connection that failed.
template <typename Stream>
void serve_connection(worker on, const std::function<task<>(worker, Stream)>& handler,
                      Stream stream, std::shared_ptr<connection_count> count) noexcept {
    try {
        counted_connection held(std::move(count));
        auto serving = handler(on, std::move(stream));
        on.spawn_future(serve_one(std::move(held), std::move(serving)));
    } catch (...) { log_connection_failure(std::current_exception()); }
}

/// Ends a listener, and serves those whom it accepted already, and of those who wait as many as
/// there is room for. With a successor on the same socket nobody is lost: the others are the
/// successor's.
template <typename Listener, typename Stream>
task<> serve_rest(worker on, std::shared_ptr<Listener> listener,
                  std::function<task<>(worker, Stream)> handler, std::size_t connections_max,
                  std::shared_ptr<connection_count> count, std::optional<Stream> accepted) {
    std::vector<Stream> rest;
    if (accepted) { rest.push_back(std::move(*accepted)); }
    for (;;) {
        auto next = co_await accept_at_once<Listener>(*listener);
        if (!next || !*next) { break; }
        rest.push_back(std::move(**next));
    }
    const std::size_t used = count->current() + rest.size();
    auto waiting = co_await end_listening(std::move(*listener),
                                          used < connections_max ? connections_max - used : 0);
    for (net::socket_handle& each : waiting) { rest.emplace_back(std::move(each)); }
    // The stop's grace bounds this.
    for (Stream& each : rest) {
        co_await count->room(connections_max);
        serve_connection(on, handler, std::move(each), count);
    }
}

/// Accepts until the runtime is asked to stop.
template <typename Listener, typename Stream>
task<> serve_all(worker on, std::shared_ptr<Listener> listener,
                 std::function<task<>(worker, Stream)> handler, net::serve_options options,
                 std::shared_ptr<connection_count> count) {
    auto pause = options.pause_first;
    stopping stop;
    std::optional<Stream> accepted;
    for (;;) {
        std::error_code failed;
        try {
            // The stop first: there may always be somebody to accept.
            auto first = co_await either(stop, listener->accept());
            if (first.index() == 0) { break; }
            auto& next = std::get<1>(first);
            if (next) {
                accepted.emplace(std::move(*next));
            } else {
                failed = next.error();
            }
        } catch (...) { failed = accept_error_of(std::current_exception()); }
        if (failed) {
            // Mostly out of descriptors: connections wait in the backlog until some are closed.
            log_accept_error(failed);
            auto paused = co_await either(stop, timer(pause));
            if (paused.index() == 0) { break; }
            pause = std::min(pause * 2, options.pause_max);
            continue;
        }
        pause = options.pause_first;
        // After accepting: another listener of this worker may have taken the last place.
        auto room = co_await either(stop, count->room(options.connections_max));
        if (room.index() == 0) { break; }
        serve_connection(on, handler, std::move(*accepted), count);
        accepted.reset();
    }
    auto rest = serve_rest<Listener, Stream>(on, std::move(listener), std::move(handler),
                                             options.connections_max, std::move(count),
                                             std::move(accepted));
    co_await std::move(rest);
}

}  // namespace heph::rt::detail

namespace heph::rt::net {

/// Accepts connections on the workers of a runtime, and runs a task for each of them on the worker
/// that accepted it.
///
/// An orderly stop of the runtime ends accepting; the connections' tasks have the stop's grace to
/// come to their end, and are dropped then (`setup::stop_grace`). What a handler or its task throws
/// is logged and ends that connection only.
///
/// *Thread safety*: `start` is safe. Copies share one server.
template <typename Listener, typename Stream>
class basic_server {
public:
    /// Serves one connection; called on the worker that accepted it.
    using handler = std::function<task<>(worker, Stream)>;

    /// Makes a server of listeners; workers beyond their number share them.
    /// *Errors*: `invalid_argument` for no listener; the system's, when a socket cannot be shared.
    [[nodiscard]] static std::expected<basic_server, std::error_code> over(
        std::vector<Listener> listeners, std::size_t workers) {
        if (listeners.empty()) {
            return std::unexpected(std::make_error_code(std::errc::invalid_argument));
        }
        auto made = std::make_shared<state>();
        made->workers = std::max<std::size_t>(workers, 1);
        for (Listener& each : listeners) {
            made->descriptors.push_back(each.descriptor());
            made->listeners.push_back(std::make_shared<Listener>(std::move(each)));
        }
        for (std::size_t i = 0; made->listeners.size() < made->workers; ++i) {
            auto copy = rt::duplicate(made->descriptors[i % made->descriptors.size()]);
            if (!copy) { return std::unexpected(copy.error()); }
            auto adopted = Listener::adopt(std::move(*copy));
            if (!adopted) { return std::unexpected(adopted.error()); }
            made->listeners.push_back(std::make_shared<Listener>(std::move(*adopted)));
        }
        return basic_server(std::move(made));
    }

    /// Serves on a worker; called once on each. *Requires*: called on that worker's thread, its
    /// index is less than the number of workers the server was made for.
    void start(worker& on, const handler& serve, const serve_options& options = {}) const {
        const auto count = std::make_shared<detail::connection_count>();
        // What one process opened for its workers, the next one serves with as many as it has.
        for (std::size_t i = on.index(); i < state_->listeners.size(); i += state_->workers) {
            on.spawn_future(detail::serve_all<Listener, Stream>(on, std::move(state_->listeners[i]),
                                                                serve, options, count));
        }
    }

    /// Names the sockets for a successor. They are open until the server's workers stop.
    [[nodiscard]] std::vector<handed_over> hand_over(const std::string& name) const {
        std::vector<handed_over> all;
        for (const int each : state_->descriptors) { all.emplace_back(name, each); }
        return all;
    }

protected:
    struct state {
        std::size_t workers = 1;
        std::vector<int> descriptors;                      // Of the sockets that differ.
        std::vector<std::shared_ptr<Listener>> listeners;  // Each is moved out by its worker.
    };
    explicit basic_server(std::shared_ptr<state> made) noexcept : state_(std::move(made)) {}

private:
    std::shared_ptr<state> state_;
};

/// Serves TCP connections.
using tcp_server = basic_server<tcp_listener, tcp_stream>;
/// Serves connections over a Unix socket.
using unix_server = basic_server<unix_listener, unix_stream>;

/// Binds a listener for each worker, on one port (`SO_REUSEPORT`); port 0 takes any free one.
/// *Errors*: those of `tcp_listener::bind`.
[[nodiscard]] std::expected<std::vector<tcp_listener>, std::error_code> listen_on(
    const endpoint& local, std::size_t workers, listen_options options = {});

}  // namespace heph::rt::net
