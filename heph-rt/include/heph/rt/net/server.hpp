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
#include <limits>
#include <memory>
#include <new>
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
    /// backlog are left there, for a successor; but for those that came as the server stopped, of
    /// which a successor may not know.
    std::size_t connections_max = 16 * 1024;
    /// Further ones that the handler is given at once all the same, to tell them that there are too
    /// many; none by default. Only those beyond both numbers wait.
    std::size_t refused_max = 0;
    /// How long accepting pauses after an error, such as `too_many_files_open`: twice as long after
    /// each further one, up to `pause_max`.
    std::chrono::milliseconds pause_first{5};
    std::chrono::milliseconds pause_max{1'000};
    /// Makes connections direct descriptors: see `tcp_listener::accept_direct`. The handler then
    /// has to leave each of them on its worker, or to call `make_ordinary` first.
    bool direct = false;
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
    // Places that are promised, but not taken yet.
    [[nodiscard]] std::size_t claimed() const noexcept { return claimed_; }
    void claim(std::size_t places) noexcept { claimed_ += places; }
    void unclaim(std::size_t places) noexcept { claimed_ -= places; }
    void remove() noexcept {
        --current_;
        for (room_future* each = first_; each != nullptr; each = each->next_) {
            std::exchange(each->waker_, waker()).wake();
        }
    }

private:
    std::size_t current_ = 0;
    std::size_t claimed_ = 0;
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

/// Writes a line about an error of accepting, or about what a connection's task threw: of the
/// latter no more than 60 a minute on a worker, and then how many were left out.
void log_accept_error(std::error_code failure) noexcept;
void log_connection_failure(const std::exception_ptr& failure) noexcept;

/// Tells what an exception of accepting means.
[[nodiscard]] std::error_code accept_error_of(const std::exception_ptr& thrown) noexcept;

/// Makes room for so many more sockets. Gives whether there is memory for that.
[[nodiscard]] inline bool has_room(std::vector<net::socket_handle>& all,
                                   std::size_t more) noexcept {
    if (all.capacity() - all.size() >= more) { return true; }
    try {
        all.reserve(std::max(all.size() + more, 2 * all.capacity()));
        return true;
    } catch (const std::bad_alloc&) { return false; }
}

/// Waits until the kernel takes no more connections for a listener. Gives whether it was taking
/// some by then.
template <typename Listener>
class [[nodiscard]] stop_accepting {
public:
    using value_type = bool;
    /// *Lifetime*: the listener outlives it.
    explicit stop_accepting(Listener& of) noexcept : listener_(&of) {}
    polled<value_type> poll(const waker& waker) {
        if (!listener_->poll_stop_accepting(waker).is_ready()) {
            cut_off_ = true;
            return pending;
        }
        return polled<value_type>(std::in_place, cut_off_);
    }
    /// Takes those that the kernel took until then: dropping the listener would close them. Gives
    /// false when there was no memory for all of them; the listener has the others still.
    [[nodiscard]] static bool take_all(Listener& from,
                                       std::vector<net::socket_handle>& into) noexcept {
        // The place first: without it the connection would be lost.
        while (has_room(into, 1)) {
            auto taken = from.take_accepted();
            if (!taken) { return true; }
            into.push_back(std::move(*taken));
        }
        return false;
    }

private:
    Listener* listener_;
    bool cut_off_ = false;
};

/// Takes a connection that waits for a listening socket; gives nothing when none does. Neither the
/// socket nor who else waits on it is changed in any way. *Cancellation*: may close a connection.
class [[nodiscard]] take_waiting {
public:
    using value_type = std::optional<net::socket_handle>;
    explicit take_waiting(int descriptor) noexcept : descriptor_(descriptor) {}
    polled<value_type> poll(const waker& waker);

private:
    int descriptor_;
    operation attempt_;
};

/// No more wait for a socket, unless the administrator says so (`net.core.somaxconn`).
inline constexpr std::size_t backlog_usual = 4096;
/// No more are accepted ahead, but by a worker that was busy for long.
inline constexpr std::size_t accepted_usual = 128;

/// Lets everybody in.
struct room_for_all {
    [[nodiscard]] bool take() const noexcept { return true; }
    void take_anyway(std::size_t /*connections*/) const noexcept {}
    void give_one_back() const noexcept {}
};

/// After a want of memory it is tried again so often.
inline constexpr std::chrono::milliseconds memory_pause{5};

/// Makes a task; gives none when there is no memory for it.
template <typename Make>
[[nodiscard]] auto task_if_memory(const Make& make) -> std::optional<decltype(make())> {
    try {
        return make();
    } catch (const std::bad_alloc&) { return std::nullopt; }
}

/// Ends a listener. Gives the connections that it accepted already, and those that wait for it
/// then, for as long as `room.take()` has a place for one more. The others are for who else has
/// the socket.
///
/// The kernel wakes one of those who wait for a connection, and that may be who is about to end:
/// another process on the same socket would not learn of it before the next one comes. What may be
/// so is taken without a place, too, and is served when there is one:
///
///     accepting --cancelled--> cut off   What came since the worker last took completions may be
///                                        waiting still, and only this listener was woken for it.
///     cut off --one waits--> cut off     Taken, with a place or without.
///     cut off --nobody waits--> ended    Who comes from now on wakes the others.
///     paused, or never asked --> ended   Others were woken: taken while there is a place.
///
/// Without memory it waits until there is some. The listener is closed at its end, unless somebody
/// else has it, too.
template <typename Listener, typename Room = room_for_all>
task<std::vector<net::socket_handle>> end_listening(std::shared_ptr<Listener> listener,
                                                    Room room = Room()) {
    std::vector<net::socket_handle> all;
    while (!has_room(all, accepted_usual)) { co_await timer(memory_pause); }
    const bool cut_off = co_await stop_accepting<Listener>(*listener);
    while (!stop_accepting<Listener>::take_all(*listener, all)) { co_await timer(memory_pause); }
    room.take_anyway(all.size());
    for (std::size_t left = backlog_usual; left != 0; --left) {
        if (!room.take()) {
            if (!cut_off) { break; }
            room.take_anyway(1);
        }
        bool is_taken = false;
        bool memory = has_room(all, 1);  // First: without it the connection would be lost.
        if (memory) {
            try {
                auto taken = co_await take_waiting(listener->descriptor());
                is_taken = taken.has_value();
                if (is_taken) { all.push_back(std::move(*taken)); }
            } catch (const std::bad_alloc&) { memory = false; }
        }
        if (is_taken) { continue; }
        room.give_one_back();
        if (memory) { break; }
        co_await timer(memory_pause);
    }
    co_return all;
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

/// The places that a listener which ends takes of its worker's: others that end at the same time
/// see them taken. Given back when it is destroyed, by when each is a connection's, or free again.
class claimed_places {
public:
    claimed_places(std::shared_ptr<connection_count> of, std::size_t most) noexcept
        : count_(std::move(of)), most_(most) {}
    claimed_places(claimed_places&& other) noexcept
        : count_(std::move(other.count_)), most_(other.most_), claimed_(other.claimed_) {}
    claimed_places& operator=(claimed_places&&) = delete;
    ~claimed_places() {
        if (count_) { count_->unclaim(claimed_); }
    }
    [[nodiscard]] bool take() noexcept {
        if (count_->current() + count_->claimed() >= most_) { return false; }
        take_anyway(1);
        return true;
    }
    void take_anyway(std::size_t connections) noexcept {
        count_->claim(connections);
        claimed_ += connections;
    }
    void give_one_back() noexcept {
        if (claimed_ == 0) { return; }
        --claimed_;
        count_->unclaim(1);
    }

private:
    std::shared_ptr<connection_count> count_;
    std::size_t most_;
    std::size_t claimed_ = 0;
};

/// Refers to places that somebody else has.
class places_of {
public:
    explicit places_of(claimed_places& all) noexcept : all_(&all) {}
    [[nodiscard]] bool take() const noexcept { return all_->take(); }
    void take_anyway(std::size_t connections) const noexcept { all_->take_anyway(connections); }
    void give_one_back() const noexcept { all_->give_one_back(); }

private:
    claimed_places* all_;
};

/// Leaves the file of a Unix socket there.
void keep_file(const std::weak_ptr<socket_file>& of) noexcept;

/// Gives how many connections the handler has at a time, those that it refuses included.
constexpr std::size_t handled_max(const net::serve_options& options) noexcept {
    return options.connections_max +
           std::min(options.refused_max,
                    std::numeric_limits<std::size_t>::max() - options.connections_max);
}

/// Ends a listener, and serves those whom it accepted already, and of those who wait as many as
/// there is room for. With a successor on the same socket nobody is lost: the others are the
/// successor's. *Lifetime*: `accepted` outlives it.
template <typename Listener, typename Stream>
task<> serve_rest(worker on, std::shared_ptr<Listener> listener,
                  std::function<task<>(worker, Stream)> handler, net::serve_options options,
                  std::shared_ptr<connection_count> count, std::optional<Stream>* accepted) {
    claimed_places places(count, options.connections_max);
    if (*accepted) { places.take_anyway(1); }
    const auto end = [&] { return end_listening(listener, places_of(places)); };
    auto ending = task_if_memory(end);
    while (!ending) {
        co_await timer(memory_pause);
        ending = task_if_memory(end);
    }
    listener.reset();  // The task has it, and closes it.
    auto waiting = co_await std::move(*ending);
    // The stop's grace bounds this.
    if (*accepted) {
        co_await count->room(handled_max(options));
        places.give_one_back();
        serve_connection(on, handler, std::move(**accepted), count);
    }
    for (net::socket_handle& each : waiting) {
        co_await count->room(handled_max(options));
        places.give_one_back();
        serve_connection(on, handler, Stream(std::move(each)), count);
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
        auto room = co_await either(stop, count->room(handled_max(options)));
        if (room.index() == 0) { break; }
        serve_connection(on, handler, std::move(*accepted), count);
        accepted.reset();
    }
    const auto make_rest = [&] {
        return serve_rest<Listener, Stream>(on, listener, handler, options, count, &accepted);
    };
    auto rest = task_if_memory(make_rest);
    while (!rest) {
        co_await timer(memory_pause);
        rest = task_if_memory(make_rest);
    }
    listener.reset();
    co_await std::move(*rest);
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
            if constexpr (requires { each.file_; }) { made->files.push_back(each.file_); }
            made->listeners.push_back(std::make_shared<Listener>(std::move(each)));
        }
        for (std::size_t i = 0; made->listeners.size() < made->workers; ++i) {
            auto copy = made->listeners[i]->duplicate();
            if (!copy) { return std::unexpected(copy.error()); }
            made->listeners.push_back(std::make_shared<Listener>(std::move(*copy)));
        }
        return basic_server(std::move(made));
    }

    /// Serves on a worker; called once on each. *Requires*: called on that worker's thread, its
    /// index is less than the number of workers the server was made for.
    void start(worker& on, const handler& serve, const serve_options& options = {}) const {
        const auto count = std::make_shared<detail::connection_count>();
        // What one process opened for its workers, the next one serves with as many as it has.
        for (std::size_t i = on.index(); i < state_->listeners.size(); i += state_->workers) {
            if (options.direct) { state_->listeners[i]->accept_direct(); }
            on.spawn_future(detail::serve_all<Listener, Stream>(on, std::move(state_->listeners[i]),
                                                                serve, options, count));
        }
    }

    /// Names the sockets for a successor. They are open until the server's workers stop; the files
    /// of Unix sockets stay there then, whatever their listeners were made with.
    [[nodiscard]] std::vector<handed_over> hand_over(const std::string& name) const {
        std::vector<handed_over> all;
        for (const auto& each : state_->files) { detail::keep_file(each); }
        for (const int each : state_->descriptors) { all.emplace_back(name, each); }
        return all;
    }

protected:
    struct state {
        std::size_t workers = 1;
        std::vector<int> descriptors;                           // Of the sockets that differ.
        std::vector<std::weak_ptr<detail::socket_file>> files;  // Theirs, of Unix sockets.
        std::vector<std::shared_ptr<Listener>> listeners;       // Each is moved out by its worker.
    };
    explicit basic_server(std::shared_ptr<state> made) noexcept : state_(std::move(made)) {}

private:
    std::shared_ptr<state> state_;
};

/// Serves TCP connections.
using tcp_server = basic_server<tcp_listener, tcp_stream>;
/// Serves connections over a Unix socket.
using unix_server = basic_server<unix_listener, unix_stream>;

/// Binds a listener for each worker, on one port (`SO_REUSEPORT`); port 0 takes any free one. May
/// block the thread for `listen_options::in_use_wait`.
/// *Errors*: those of `tcp_listener::bind`.
[[nodiscard]] std::expected<std::vector<tcp_listener>, std::error_code> listen_on(
    const endpoint& local, std::size_t workers, listen_options options = {});

}  // namespace heph::rt::net
