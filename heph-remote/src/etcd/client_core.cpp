#include "etcd/client_core.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <utility>

#include <heph/rt/timer.hpp>

namespace heph::remote::etcd::detail {

namespace {

http::client_options request_options(const settings& where) {
    http::client_options made;
    made.tls = where.tls();
    made.connect_timeout = where.request_timeout();
    made.handshake_timeout = where.request_timeout();
    made.response_timeout = where.request_timeout();
    made.pause_timeout = where.request_timeout();
    made.user_agent = "heph-remote";
    return made;
}

http::client_options watch_options(const settings& where) {
    auto made = request_options(where);
    made.pause_timeout = where.watch_silence();
    made.connections_per_origin_max = 4096;
    return made;
}

/// Tells whether a connection's failure means that the request did not leave: that it was not made.
bool cannot_have_left(const std::error_code& code) noexcept {
    constexpr std::array before_connecting{
        std::errc::connection_refused,           std::errc::host_unreachable,
        std::errc::network_unreachable,          std::errc::address_not_available,
        std::errc::too_many_files_open,          std::errc::too_many_files_open_in_system,
        std::errc::address_family_not_supported,
    };
    if (std::ranges::any_of(before_connecting, [&](std::errc each) { return code == each; })) {
        return true;
    }
    if (code.category() == http::error_category()) {
        return code == http::error::bad_target || code == http::error::unsupported_scheme ||
               code == http::error::unknown_host || code == http::error::bad_outgoing_request;
    }
    return std::string_view(code.category().name()) == "heph.rt.resolve";
}

errc kind_of(const std::error_code& code) noexcept {
    if (code == std::errc::timed_out) { return errc::timed_out; }
    if (code == http::error::body_too_large) { return errc::too_large; }
    if (code == http::error::bad_target || code == http::error::unsupported_scheme) {
        return errc::bad_settings;
    }
    return errc::unavailable;
}

rt::error describe(const std::string& endpoint, const std::error_code& code) {
    return {kind_of(code), "etcd at " + endpoint + ": " + code.message()};
}

/// Goes on from an endpoint when the request to it is dropped: it may have been dropped because
/// the endpoint is silent, and the next request must not find out about that again.
class turning_when_dropped {
public:
    turning_when_dropped(client_core& of, std::size_t endpoint) noexcept
        : of_(of), endpoint_(endpoint) {}
    turning_when_dropped(const turning_when_dropped&) = delete;
    turning_when_dropped& operator=(const turning_when_dropped&) = delete;
    ~turning_when_dropped() {
        if (finished_) { return; }
        of_.suspect();
        of_.turn_from(endpoint_);
    }
    void finish() noexcept { finished_ = true; }

private:
    client_core& of_;
    std::size_t endpoint_;
    bool finished_ = false;
};

bool is_passing(const rt::error& failure) noexcept {
    return failure.code() == errc::unavailable || failure.code() == errc::timed_out;
}

}  // namespace

client_core::client_core(rt::worker worker, settings where)
    : worker_(worker),
      where_(std::move(where)),
      requests_(worker, request_options(where_)),
      watches_(worker, watch_options(where_)) {}

std::string client_core::url(std::size_t endpoint, std::string_view path) const {
    std::string_view base = where_.endpoints()[endpoint];
    if (base.ends_with('/')) { base.remove_suffix(1); }
    return std::string(base) + "/v3/" + std::string(path);
}

http::client_request client_core::post(std::size_t endpoint, std::string_view path,
                                       std::string body) const {
    http::client_request request(http::method::post, url(endpoint, path));
    request.set_header("Content-Type", "application/json").set_body(std::move(body));
    if (!token_.empty()) { request.set_header("Authorization", token_); }
    return request;
}

task<answer<void>> client_core::log_in(std::size_t endpoint) {
    while (is_logging_in_) { co_await logged_in_.next(); }
    if (!needs_login()) { co_return answer<void>(); }
    // It may be dropped by whoever did not wait for so long; then the next one goes on.
    struct turn {
        explicit turn(client_core& of) noexcept : of_(of) { of_.is_logging_in_ = true; }
        turn(const turn&) = delete;
        turn& operator=(const turn&) = delete;
        ~turn() {
            of_.is_logging_in_ = false;
            of_.logged_in_.notify();
        }
        client_core& of_;
    } const own(*this);
    auto body = gateway::login_body(where_.user(), where_.password());
    auto answered = co_await post_once(endpoint, "auth/authenticate", std::move(body));
    if (!answered.outcome) {
        if (!gateway::is_login_needless(answered.outcome.error())) {
            co_return std::unexpected(std::move(answered.outcome).error());
        }
        is_login_needless_ = true;
        co_return answer<void>();
    }
    auto token = gateway::read_token(*answered.outcome);
    if (!token) { co_return std::unexpected(std::move(token).error()); }
    token_ = std::move(*token);
    co_return answer<void>();
}

task<client_core::attempt> client_core::try_endpoint(std::size_t endpoint, std::string_view path,
                                                     const std::string& body) {
    for (bool is_second = false;; is_second = true) {
        if (needs_login()) {
            auto done = co_await log_in(endpoint);
            if (!done) {
                attempt failed(std::unexpected(std::move(done).error()), false);
                co_return failed;
            }
        }
        const auto used = token_;
        auto tried = co_await post_once(endpoint, path, body);
        // A token lives for minutes, and only as long as its member and the users stay as they are.
        const bool is_stale =
            logs_in() && !tried.outcome && gateway::is_token_refused(tried.outcome.error());
        if (!is_stale || is_second) { co_return tried; }
        // Another request may have got a new one meanwhile.
        if (used == token_) { forget_token(); }
    }
}

task<client_core::attempt> client_core::post_once(std::size_t endpoint, std::string_view path,
                                                  const std::string& body) {
    const auto& name = where_.endpoints()[endpoint];
    auto request = post(endpoint, path, body);
    auto answered = co_await requests_.send(std::move(request));
    if (!answered) {
        attempt failed(std::unexpected(describe(name, answered.error())),
                       !cannot_have_left(answered.error()));
        co_return failed;
    }
    auto read = co_await answered->read_body(where_.answer_bytes_max());
    if (!read) {
        attempt failed(std::unexpected(describe(name, read.error())), true);
        co_return failed;
    }
    const auto status = static_cast<unsigned>(answered->status());
    if (status != 200) {
        attempt failed(std::unexpected(gateway::read_error(status, *read)), true);
        co_return failed;
    }
    // A stream fails behind the status 200.
    if (auto said = gateway::read_stream_error(*read)) {
        attempt failed(std::unexpected(std::move(*said)), true);
        co_return failed;
    }
    attempt done(std::move(*read), true);
    co_return done;
}

task<answer<std::string>> client_core::ask(std::shared_ptr<client_core> core, std::string path,
                                           std::string body, effect what) {
    const auto count = core->where_.endpoints().size();
    if (count == 0) {
        co_return std::unexpected(rt::error(errc::bad_settings, "etcd: no endpoint is named"));
    }
    // One more than there are, as the first connection may be one that was closed meanwhile.
    for (std::size_t tries = 0;; ++tries) {
        const auto endpoint = core->current_;
        turning_when_dropped dropped(*core, endpoint);
        rt::deadline bounded(core->where_.request_timeout(),
                             core->try_endpoint(endpoint, path, body));
        auto tried = co_await bounded;
        dropped.finish();
        if (!tried) {
            rt::error late(errc::timed_out,
                           "etcd at " + core->where_.endpoints()[endpoint] + ": no answer in time");
            tried = attempt(std::unexpected(std::move(late)), true);
        }
        if (tried->outcome || !is_passing(tried->outcome.error())) {
            core->answered();
            co_return std::move(tried->outcome);
        }
        core->suspect();
        core->turn_from(endpoint);
        if (what == effect::changes && tried->arrived) {
            co_return std::unexpected(
                rt::error(errc::outcome_unknown, tried->outcome.error().message()));
        }
        if (tries == count) { co_return std::move(tried->outcome); }
    }
}

task<answer<http::client_response>> client_core::open_watch(std::shared_ptr<client_core> core,
                                                            gateway::key_range keys,
                                                            std::int64_t from) {
    using result = answer<http::client_response>;
    const auto endpoint = core->current_;
    if (core->needs_login()) {
        rt::deadline bounded(core->where_.request_timeout(), core->log_in(endpoint));
        auto done = co_await bounded;
        if (!done) {
            co_return result(std::unexpect, errc::timed_out, "etcd: the login took too long");
        }
        if (!*done) { co_return result(std::unexpect, std::move(*done).error()); }
    }
    auto request = core->post(endpoint, "watch", gateway::watch_body(keys, from));
    // A member that lost its leader ends the watch then, rather than be silent.
    request.set_header("Grpc-Metadata-hasleader", "true");
    auto opened = co_await core->watches_.send(std::move(request));
    if (!opened) {
        co_return result(std::unexpect,
                         describe(core->where_.endpoints()[endpoint], opened.error()));
    }
    if (const auto status = static_cast<unsigned>(opened->status()); status != 200) {
        auto said = co_await opened->read_body(64 * 1024);
        co_return result(std::unexpect, gateway::read_error(status, said ? *said : std::string()));
    }
    co_return result(std::move(*opened));
}

}  // namespace heph::remote::etcd::detail
