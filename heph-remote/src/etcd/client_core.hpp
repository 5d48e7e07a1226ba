#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/http/client.hpp>
#include <heph/remote/etcd/client.hpp>

#include "etcd/change_signal.hpp"
#include "etcd/gateway.hpp"

namespace heph::remote::etcd::detail {

/// Is what the copies of a client share: connections, and which endpoint is the good one.
class client_core {
public:
    client_core(rt::worker worker, settings where);

    /// Says what may be done about a failure.
    enum class effect : bool {
        reads,    ///< Ask another endpoint.
        changes,  ///< Ask another endpoint only if this one cannot have got the request.
    };

    /// Sends a request to one endpoint after the other, and gives the body of the first answer.
    static task<answer<std::string>> ask(std::shared_ptr<client_core> core, std::string path,
                                         std::string body, effect what);

    /// Opens a watch at the current endpoint. What is received is still on its way.
    static task<answer<http::client_response>> open_watch(std::shared_ptr<client_core> core,
                                                          gateway::key_range keys,
                                                          std::int64_t from);

    /// Tells whether requests carry a token.
    [[nodiscard]] bool logs_in() const noexcept { return !where_.user().empty(); }
    /// Has the next request log in anew.
    void forget_token() noexcept {
        token_.clear();
        is_login_needless_ = false;
    }

    /// Goes on to the next endpoint, after the current one failed somehow.
    void turn_from(std::size_t endpoint) noexcept {
        if (endpoint == current_) { current_ = (current_ + 1) % where_.endpoints().size(); }
    }
    [[nodiscard]] std::size_t current() const noexcept { return current_; }

    /// Takes a revision that the store said that it has.
    void saw(std::int64_t revision) noexcept { newest_ = std::max(newest_, revision); }
    /// Takes that the store was replaced by one that has a smaller revision than it had.
    void went_back(std::int64_t revision) noexcept {
        newest_ = revision;
        ++times_back_;
    }
    [[nodiscard]] std::int64_t newest() const noexcept { return newest_; }
    [[nodiscard]] std::uint64_t times_back() const noexcept { return times_back_; }

    /// Takes it that a request got no answer: connections that were open by then may be dead.
    void suspect() noexcept { is_suspicious_ = true; }
    /// Takes it that one got an answer.
    void answered() noexcept {
        if (std::exchange(is_suspicious_, false)) { resumed_.notify(); }
    }
    /// Tells who waits for something on an open connection when answers come again after there
    /// were none. What was lost meanwhile, TCP may send again only after as long once more.
    [[nodiscard]] change_signal& resumed() noexcept { return resumed_; }
    [[nodiscard]] const settings& where() const noexcept { return where_; }
    [[nodiscard]] const rt::worker& worker() const noexcept { return worker_; }

private:
    /// Says what became of a request: an answer, or whether it can have arrived.
    struct attempt {
        attempt(answer<std::string> its_outcome, bool can_have_arrived) noexcept
            : outcome(std::move(its_outcome)), arrived(can_have_arrived) {}

        answer<std::string> outcome;
        bool arrived;
    };

    [[nodiscard]] std::string url(std::size_t endpoint, std::string_view path) const;
    [[nodiscard]] http::client_request post(std::size_t endpoint, std::string_view path,
                                            std::string body) const;
    [[nodiscard]] bool needs_login() const noexcept {
        return logs_in() && token_.empty() && !is_login_needless_;
    }
    /// Gets a token, if one is needed; one request for all who wait for it.
    task<answer<void>> log_in(std::size_t endpoint);
    task<attempt> post_once(std::size_t endpoint, std::string_view path, const std::string& body);
    task<attempt> try_endpoint(std::size_t endpoint, std::string_view path,
                               const std::string& body);

    rt::worker worker_;
    settings where_;
    http::client requests_;
    http::client watches_;
    std::size_t current_ = 0;
    std::int64_t newest_ = 0;
    std::uint64_t times_back_ = 0;

    change_signal resumed_;
    bool is_suspicious_ = false;
    std::string token_;
    change_signal logged_in_;  // Or not.
    bool is_logging_in_ = false;
    bool is_login_needless_ = false;
};

}  // namespace heph::remote::etcd::detail
