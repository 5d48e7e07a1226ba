#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/http/client.hpp>
#include <heph/http/h1/request_writer.hpp>
#include <heph/http/h1/response_parser.hpp>
#include <heph/rt/net/tcp.hpp>

#include "keep_alive.hpp"
#include "peer_stream.hpp"
#include "send_patience.hpp"

namespace heph::http::detail {

/// One connection to a server: requests out, one after the other, and their responses in.
///
///     idle --begin--> sending and receiving --head--> body --end--> idle
///     sending and receiving --head--> sending and body --sent--> body
///     sending and body --end--> sending --sent--> idle
///     any --failure, sending given up, close announced--> not reusable
///
/// Invariants
///     1. `bytes_` holds what was received and not parsed; while it is idle, nothing.
///     2. What is not reusable never goes back to idle: the end of what was sent or received is
///        not certain, or the server said that it will close.
///     3. The receive and the send are dropped separately: a send that is dropped half-way makes
///        the connection not reusable.
///     4. Sending is given up by an error answered, by the connection's end, and by the end of an
///        answer behind which the server closes; what produces the body is told before it is
///        dropped. Else the end of an answer is given when the request is sent, too.
/// *Lifetime*: `options` outlives it, unchanged. It does not move.
class client_connection final : body_writer {
public:
    /// `through` is the proxy that requests are sent to, which passes them on; null when the peer
    /// is the origin, or is reached by a tunnel. So much is sent at once.
    client_connection(peer_stream stream, const client_options& options, const proxy* through,
                      std::size_t block_bytes_max) noexcept
        : options_(&options),
          through_(through),
          block_bytes_max_(block_bytes_max),
          stream_(std::move(stream)),
          parser_(options.limits) {}
    client_connection(const client_connection&) = delete;
    client_connection& operator=(const client_connection&) = delete;
    virtual ~client_connection() = default;

    /// Sends a request and receives the head of its final response. When that comes before the
    /// body has been sent, and is no error, the rest of the body is sent by `next_piece`.
    task<std::error_code> exchange(std::shared_ptr<client_request> request, const url& to);

    /// Gives the next piece of the body, empty at its end: when the request is sent, too, or
    /// nobody wants the rest of it.
    task<std::expected<std::string_view, std::error_code>> next_piece();

    /// Gives the stream behind a 101, or null. *Lifetime*: the connection's.
    [[nodiscard]] upgraded_stream* tunnel() noexcept {
        return tunnel_ && head_status_ == status::switching_protocols ? &tunnel_stream_ : nullptr;
    }

    /// Gives the head of the response, once: the connection may be another request's before the
    /// caller is done with it.
    [[nodiscard]] response_head take_head() noexcept { return std::move(head_); }
    /// Adds what came behind the body to a head that was taken.
    void give_trailers(response_head& to) noexcept { to.take_trailers(head_); }
    /// Tells whether the last exchange failed before a byte of a response came.
    [[nodiscard]] bool was_silent() const noexcept { return silent_; }
    /// Tells whether another request may be sent once the body was read.
    [[nodiscard]] bool is_reusable() const noexcept {
        return reusable_ && !sending_ && parser_.is_done() && bytes_.empty() &&
               terms_.uses != std::uint64_t{0} && terms_.timeout != std::chrono::seconds::zero();
    }
    /// Gives what the server told about keeping the connection.
    [[nodiscard]] const keep_alive_terms& terms() const noexcept { return terms_; }
    /// Tells whether the request is not sent to its end yet.
    [[nodiscard]] bool is_sending() const noexcept { return sending_.has_value(); }
    /// Sends no more of the request: what produces its body is told so, and dropped.
    void stop_sending() noexcept;
    [[noreturn]] void fail_sending(std::exception_ptr thrown);
    /// Tells whether a kept connection has ended meanwhile, or the server said something unasked.
    [[nodiscard]] bool has_ended();

private:
    /// The connection as another protocol sees it.
    class tunnel_stream final : public upgraded_stream {
    public:
        explicit tunnel_stream(client_connection& owner) noexcept : owner_(&owner) {}
        task<std::expected<std::string_view, std::error_code>> read() override;
        task<std::expected<void, std::error_code>> write(std::string_view bytes) override;

    private:
        client_connection* owner_;
    };

    class send_step;

    task<std::expected<void, error>> write(std::string_view piece) override;
    task<void> gone() override;
    std::expected<void, error> add_trailer(std::string_view name, std::string_view value) override {
        return h1::request_writer::add_trailer(trailers_, name, value);
    }

    task<std::error_code> send_request(const url& to);
    task<std::error_code> receive_body();
    task<std::error_code> receive_head();
    std::error_code take(std::expected<rt::net::chunk, std::error_code> received);
    task<std::error_code> send_bytes(std::string_view bytes);
    task<std::error_code> send_rest(std::shared_ptr<const std::string> body, std::size_t size);
    task<std::error_code> send_block(rt::buffer bytes);
    task<void> finish_sending();
    void end_sending(std::error_code sent) noexcept;
    std::error_code refuse(std::error_code why) noexcept {
        reusable_ = false;
        return why;
    }

    const client_options* options_;
    const proxy* through_;
    std::size_t block_bytes_max_;
    peer_stream stream_;
    send_patience send_patience_;
    alarm send_alarm_;
    rt::net::chunk bytes_;
    h1::response_parser parser_;
    h1::request_writer writer_;
    response_head head_;
    std::string trailers_;                          // To be sent behind a streamed body.
    std::shared_ptr<client_request> request_;       // While it may still be sent.
    interim_handler* on_interim_ = nullptr;         // The request's, until the final head is there.
    std::optional<task<std::error_code>> sending_;  // Refers to the request.
    keep_alive_terms terms_;
    bool reusable_ = true;
    bool given_up_ = false;  // No more of the request is sent.
    bool silent_ = true;     // Nothing has come since the last request.
    bool at_end_ = false;    // The server sends no more.
    bool upgrades_ = false;  // The request asked for another protocol.
    bool tunnel_ = false;    // What follows the head is no HTTP.
    status head_status_ = status::ok;
    tunnel_stream tunnel_stream_{*this};
    bool peer_refused_ = false;  // Sending failed, and that not on our side.
};

}  // namespace heph::http::detail
