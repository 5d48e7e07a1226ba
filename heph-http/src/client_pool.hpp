#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/http/client.hpp>
#include <heph/http/url.hpp>
#include <heph/inbox/future.hpp>
#include <heph/rt/timer.hpp>
#include <heph/rt/worker.hpp>

#include "client_connection.hpp"

namespace heph::http::detail {

class client_pool;

/// A connection that is lent out: one that was kept, or the permit to make one.
class client_lease {
public:
    client_lease() noexcept = default;
    client_lease(std::shared_ptr<client_pool> pool, std::string origin,
                 std::unique_ptr<client_connection> kept) noexcept
        : pool_(std::move(pool)), origin_(std::move(origin)), connection_(std::move(kept)) {}
    client_lease(client_lease&&) noexcept = default;
    client_lease& operator=(client_lease&& other) noexcept {
        client_lease old(std::move(*this));
        pool_ = std::move(other.pool_);
        origin_ = std::move(other.origin_);
        connection_ = std::move(other.connection_);
        has_left_ = other.has_left_;
        return *this;
    }
    ~client_lease();

    /// The connection; null while there is just the permit.
    [[nodiscard]] std::unique_ptr<client_connection>& connection() noexcept { return connection_; }
    [[nodiscard]] bool is_held() const noexcept { return pool_ != nullptr; }

    /// Gives the permit back, and keeps the connection: it became one of another protocol, and
    /// carries no request any more. The pool stays as long as the lease: the connection goes by its
    /// options.
    void leave_pool() noexcept;

private:
    std::shared_ptr<client_pool> pool_;
    std::string origin_;
    std::unique_ptr<client_connection> connection_;  // Goes before the pool.
    bool has_left_ = false;                          // Without a permit, so with nothing to give.
};

/// Keeps the connections of one client, by origin.
///
///     origin: open <= connections_per_origin_max; waiting is empty, or open is at the most
///
/// Invariants
///     1. `open` counts the connections in use and the kept ones, and the permits to make one; not
///        those that have left, as they speak another protocol.
///     2. A connection, or the permit of one that ended, goes to who waits longest, directly:
///     nobody
///        who comes later can take it. One that is granted and not taken goes on to the next.
///     3. An origin without connections and without waiters is forgotten.
/// *Thread safety*: unsafe: one worker.
class client_pool : public std::enable_shared_from_this<client_pool> {
public:
    /// Waits for a connection to an origin, or for the permit to make one; gives a lease that is
    /// not held when there was neither for too long.
    class [[nodiscard]] lease_future {
    public:
        using value_type = client_lease;
        lease_future(std::shared_ptr<client_pool> pool, std::string origin) noexcept
            : pool_(std::move(pool)), origin_(std::move(origin)) {}
        lease_future(lease_future&& other) noexcept = default;
        lease_future& operator=(lease_future&&) = delete;
        ~lease_future();

        polled<client_lease> poll(const waker& waker);

    private:
        friend class client_pool;
        void leave_queue() noexcept;

        std::shared_ptr<client_pool> pool_;
        std::string origin_;
        waker who_;
        client_lease granted_;
        std::optional<rt::timer> patience_;  // While it waits.
        bool waiting_ = false;
    };

    client_pool(rt::worker worker, client_options options);
    client_pool(const client_pool&) = delete;
    client_pool& operator=(const client_pool&) = delete;
    ~client_pool();

    [[nodiscard]] const client_options& options() const noexcept { return options_; }
    [[nodiscard]] lease_future borrow(std::string origin) noexcept {
        return {shared_from_this(), std::move(origin)};
    }
    [[nodiscard]] std::size_t idle_count() const noexcept { return idle_count_; }
    void close_idle() noexcept;

private:
    friend class client_lease;

    struct kept {
        kept(std::unique_ptr<client_connection> idle, rt::clock::time_point now,
             rt::clock::time_point end) noexcept
            : connection(std::move(idle)), since(now), until(end) {}
        std::unique_ptr<client_connection> connection;
        rt::clock::time_point since;
        rt::clock::time_point until;  // It is not used any more from then on.
    };
    struct origin_state {
        std::deque<kept> idle;  // Oldest first.
        std::deque<lease_future*> waiting;
        std::size_t open = 0;
    };
    /// Closes what is kept for too long, and ends when nothing is kept or the pool is gone.
    class sweep_future;
    struct sweeper {
        waker who;
        rt::clock::time_point next;  // When it looks again; woken when that becomes earlier.
        bool pool_gone = false;
    };

    void give_back(const std::string& origin, std::unique_ptr<client_connection> used) noexcept;
    void keep(origin_state& state, std::unique_ptr<client_connection> used);
    std::unique_ptr<client_connection> take_idle(origin_state& state) noexcept;
    void forget(const std::string& origin) noexcept;
    void drop_oldest() noexcept;
    rt::clock::time_point sweep(rt::clock::time_point now) noexcept;

    rt::worker worker_;
    client_options options_;
    std::unordered_map<std::string, origin_state> origins_;
    std::size_t idle_count_ = 0;
    std::shared_ptr<sweeper> sweeper_;  // While one runs.
};

inline client_lease::~client_lease() {
    if (pool_ && !has_left_) { pool_->give_back(origin_, std::move(connection_)); }
}

inline void client_lease::leave_pool() noexcept {
    if (!pool_ || has_left_) { return; }
    has_left_ = true;
    pool_->give_back(origin_, nullptr);
}

}  // namespace heph::http::detail
