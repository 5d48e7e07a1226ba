#include <exception>
#include <string>
#include <utility>

#include <heph/core/detail/any_future.hpp>
#include <heph/core/log.hpp>
#include <heph/http/request.hpp>
#include <heph/http/response.hpp>
#include <heph/http/security.hpp>
#include <heph/rt/net/tcp.hpp>

#include "failure_text.hpp"

namespace heph::http {

namespace {

class empty_body final : public body_reader {
public:
    task<std::expected<std::string_view, error>> next() override { co_return std::string_view(); }
};

empty_body no_body;

}  // namespace

std::string_view path_params::get(std::string_view name) const noexcept {
    for (std::size_t i = 0; i < values_.size(); ++i) {
        const entry& value = values_[i];
        if (std::string_view(value.name, value.name_size) == name) {
            return {text_.data() + value.value_at, value.value_size};
        }
    }
    return {};
}

void path_params::add(std::string_view name, std::string_view value) {
    entry added{};
    added.name = name.data();
    added.name_size = static_cast<std::uint32_t>(name.size());
    added.value_at = static_cast<std::uint32_t>(text_.size());
    added.value_size = static_cast<std::uint32_t>(value.size());
    text_.append(value.data(), value.size());
    values_.push_back(added);
}

void path_params::truncate(std::size_t count) noexcept {
    if (count < values_.size()) {
        text_.truncate(values_[count].value_at);
        values_.truncate(count);
    }
}

request::request() noexcept : body_(&no_body) {}

std::optional<rt::net::endpoint> request::peer() const {
    if (told_peer_ || stream_ == nullptr || over_unix_) { return told_peer_; }
    if (connected_peer_ != nullptr && *connected_peer_) { return *connected_peer_; }
    const auto found = stream_->peer_endpoint();
    if (!found) { return {}; }
    return *found;
}

task<std::expected<void, error>> request::send_interim(http::status status,
                                                       const http::headers& fields) {
    if (interim_sender_ == nullptr) { co_return std::expected<void, error>(); }
    const auto sent = co_await interim_sender_->send_interim(status, fields);
    co_return sent;
}

std::optional<secure_session> request::secure_session() const {
    return channel_ == nullptr ? std::optional<http::secure_session>() : channel_->session();
}

// Nobody goes who was never there.
task<void> request::client_gone() {
    if (client_watcher_ != nullptr) { return client_watcher_->gone(); }
    return [] -> task<void> { co_await heph::detail::never_future<void>(); }();
}

void request::report_failure(const std::exception_ptr& failure) noexcept {
    if (failure_handler_ != nullptr) {
        failure_handler_->report_failure(failure);
        return;
    }
    try {
        log(log_level::error, "http: a handler failed: " + detail::failure_text(failure));
    } catch (...) { log(log_level::error, "http: a handler failed"); }
}

response request::answer_failure(const std::exception_ptr& failure) {
    report_failure(failure);
    return failure_handler_ != nullptr ? failure_handler_->answer_error(error::handler_failed)
                                       : response::problem(error::handler_failed);
}

bool request::when_done(exchange_observer observer) {
    if (stream_ == nullptr) { return false; }
    if (observers_.empty()) { observed_since_ = std::chrono::steady_clock::now(); }
    observers_.push_back(std::move(observer));
    return true;
}

void request::tell_done(exchange told) {
    const std::vector<exchange_observer> observers = std::exchange(observers_, {});
    if (observers.empty()) { return; }
    if (told.took == std::chrono::steady_clock::duration::zero()) {
        told.took = std::chrono::steady_clock::now() - observed_since_;
    }
    std::exception_ptr failure;
    for (const exchange_observer& each : observers) {
        try {
            each(told);
        } catch (...) { failure = std::current_exception(); }
    }
    if (failure) { std::rethrow_exception(std::move(failure)); }
}

task<std::expected<std::string, error>> request::read_body() { return read_body(body_bytes_max_); }

task<std::expected<std::string, error>> request::read_body(std::uint64_t bytes_max) {
    body_bytes_max_ = bytes_max;
    // Refused before a byte of it was asked for, and so before the client was told to go on.
    const auto length = head_.content_length();
    if (length && *length > bytes_max) { co_return std::unexpected(error::body_too_large); }
    std::string body;
    for (;;) {
        const std::expected<std::string_view, error> piece = co_await body_->next();
        if (!piece) { co_return std::unexpected(piece.error()); }
        if (piece->empty()) { break; }
        if (piece->size() > bytes_max - body.size()) {
            co_return std::unexpected(error::body_too_large);
        }
        // What was announced is only believed as far as it has come.
        if (body.empty() && length && *length <= 64 * 1024) {
            body.reserve(static_cast<std::size_t>(*length));
        }
        body.append(*piece);
    }
    co_return body;
}

}  // namespace heph::http
