#pragma once

// Requests to etcd, and watching its keys.
//
//     etcd::client client(ctx.runtime(), etcd::settings({"http://127.0.0.1:2379"}));
//     const auto put = co_await client.put("/color", "green");
//     const auto got = co_await client.get("/color");
//     if (got && *got) { use((*got)->value); }
//
//     auto watcher = client.watch_prefix("/services/");
//     while (auto batch = co_await watcher.next()) { … }   // first all there is, then each change
//
// It speaks the JSON gateway of etcd 3.4 and newer, over heph-http's client.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/http/security.hpp>
#include <heph/remote/etcd/error.hpp>
#include <heph/remote/etcd/messages.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/worker.hpp>

namespace heph::remote::etcd {

namespace detail {
class client_core;
class watch_run;
}  // namespace detail

/// Is what is asked of etcd gives: the answer, or a code of `errc` with a text for people.
template <typename T>
using answer = std::expected<T, rt::error>;

/// Says where etcd is, and how long to wait for it.
class settings {
public:
    using milliseconds = std::chrono::milliseconds;

    /// Names the members' addresses for clients, such as `http://10.0.0.1:2379`. One that does not
    /// answer is passed over for the next one.
    explicit settings(std::vector<std::string> endpoints) : endpoints_(std::move(endpoints)) {}

    /// Secures the connections to `https://` endpoints; see `http::make_client_tls`, which takes a
    /// certificate of the program's own as well.
    settings& tls(std::shared_ptr<const http::client_security> security) {
        tls_ = std::move(security);
        return *this;
    }
    /// Has the client log in, as etcd with authentication needs it. It gets a token, and another
    /// one when etcd does not know that any more. Neither password nor token is logged or part of
    /// an error; but whoever can read the connection can read them, unless that is `https://`. An
    /// etcd whose authentication is not enabled is used without.
    settings& login(std::string user, std::string password) {
        user_ = std::move(user);
        password_ = std::move(password);
        return *this;
    }
    /// Sets how long one endpoint may take for one answer; 3 s by default.
    settings& request_timeout(milliseconds limit) {
        request_timeout_ = limit;
        return *this;
    }
    /// Sets after how much silence the connection of a watch is made anew, in case that it is dead;
    /// 60 s by default. No change is lost by that.
    settings& watch_silence(milliseconds limit) {
        watch_silence_ = limit;
        return *this;
    }
    /// Sets how large an answer, or a message of a watch, may be; 16 MiB by default.
    settings& answer_bytes_max(std::size_t limit) {
        answer_bytes_max_ = limit;
        return *this;
    }

    [[nodiscard]] const std::vector<std::string>& endpoints() const noexcept { return endpoints_; }
    [[nodiscard]] const std::shared_ptr<const http::client_security>& tls() const noexcept {
        return tls_;
    }
    [[nodiscard]] const std::string& user() const noexcept { return user_; }
    [[nodiscard]] const std::string& password() const noexcept { return password_; }
    [[nodiscard]] milliseconds request_timeout() const noexcept { return request_timeout_; }
    [[nodiscard]] milliseconds watch_silence() const noexcept { return watch_silence_; }
    [[nodiscard]] std::size_t answer_bytes_max() const noexcept { return answer_bytes_max_; }

private:
    std::vector<std::string> endpoints_;
    std::shared_ptr<const http::client_security> tls_;
    std::string user_;
    std::string password_;
    milliseconds request_timeout_{3'000};
    milliseconds watch_silence_{60'000};
    std::size_t answer_bytes_max_ = std::size_t{16} << 20U;
};

/// Tells all keys that there are, and then each change of them.
///
/// It survives what happens to the connection and to etcd: a broken connection is made again, with
/// another endpoint if need be, and goes on behind the last change that was told. When that cannot
/// be told any more, because of compaction or because the store was restored from a backup, the
/// next batch has `reset` set and is all there is, as the first one is.
///
/// *Thread safety*: unsafe: used on the worker of its client.
class [[nodiscard]] watcher {
public:
    watcher(watcher&&) noexcept;
    watcher& operator=(watcher&&) noexcept;
    ~watcher();

    /// Waits for the next changes, for as long as it takes.
    /// *Errors*: what waiting does not mend: `permission_denied`, `invalid_request`, `bad_answer`,
    /// `too_large`, `bad_settings`. It can be called again. *Cancellation*: loses nothing.
    task<answer<watch_batch>> next();

private:
    friend class client;
    explicit watcher(std::unique_ptr<detail::watch_run> run) noexcept;

    std::unique_ptr<detail::watch_run> run_;
};

/// Asks etcd.
///
/// Each request goes to the endpoint that answered last; when that cannot be reached, to the next
/// one, each once. What only reads is also asked again after a time-out or a broken connection;
/// what changes something is not, as it may have been done: then the error is `outcome_unknown`.
///
/// *Errors*: `errc`. *Thread safety*: unsafe: used on the worker that it was made for. Copies share
/// their connections. *Cancellation*: dropping a request closes its connection; etcd may do it.
class client {
public:
    client(rt::worker worker, settings where);

    /// Gives a key, or nothing when there is none.
    task<answer<std::optional<key_value>>> get(std::string key) const;
    /// Gives all keys that begin with a prefix, in order, as they are at one revision.
    /// *Errors*: `too_large` for more than `keys_max`.
    task<answer<range_result>> list(std::string prefix, std::size_t keys_max = 100'000) const;
    /// Sets a key, and makes it depend on a lease unless that is 0. Gives the revision.
    task<answer<std::int64_t>> put(std::string key, std::string value,
                                   std::int64_t lease = 0) const;
    /// Removes a key, and tells whether there was one.
    task<answer<bool>> remove(std::string key) const;
    task<answer<transaction_result>> commit(transaction all) const;
    /// Forgets what was before a revision.
    task<answer<void>> compact(std::int64_t revision) const;

    /// Makes a lease; see `lease` for one that is kept alive.
    task<answer<lease_grant>> grant(std::chrono::seconds ttl) const;
    /// Gives a lease its time to live anew, and tells how long that is.
    task<answer<std::chrono::seconds>> keep_alive(std::int64_t lease) const;
    /// Ends a lease, and removes what depends on it. One that is not there is no error.
    task<answer<void>> revoke(std::int64_t lease) const;

    /// Watches one key.
    [[nodiscard]] watcher watch(std::string key) const;
    /// Watches all keys that begin with a prefix.
    [[nodiscard]] watcher watch_prefix(std::string prefix) const;

    /// Gives where it looks for etcd.
    [[nodiscard]] const settings& where() const noexcept;
    /// Gives the worker that it is used on.
    [[nodiscard]] const rt::worker& worker() const noexcept;

private:
    std::shared_ptr<detail::client_core> core_;
};

}  // namespace heph::remote::etcd
