#pragma once

#include <cstdint>
#include <exception>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include <heph/core/task.hpp>
#include <heph/http/h1/request_parser.hpp>
#include <heph/http/h1/response_writer.hpp>
#include <heph/http/limits.hpp>
#include <heph/http/request.hpp>
#include <heph/http/response.hpp>
#include <heph/http/router.hpp>

#include "connection_io.hpp"

namespace heph::http::detail {

/// Serves one connection: requests in, responses out, in order.
///
///     idle --first byte--> head --complete--> handler --response written--> idle
///     head, handler --bad input--> error answered --> lingering --> closed
///
/// Responses are gathered, and leave when there is nothing more to answer, so that the replies to
/// pipelined requests leave in one write.
/// *Lifetime*: `routes` and `limits` outlive it. It does not move.
class connection final : body_reader, body_writer {
public:
    connection(rt::net::tcp_stream stream, const router& routes, const limits& limits);
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    /// Serves until either side ends the connection.
    task<void> run();

    /// Answers one error and ends the connection, whatever was sent.
    task<void> refuse(error failure);

private:
    enum class step : std::uint8_t { go_on, close };

    task<std::expected<std::string_view, error>> next() override;
    task<std::expected<void, error>> write(std::string_view piece) override;

    task<step> receive_head_bytes();
    task<std::expected<void, error>> receive_body_bytes();
    task<step> answer();
    task<response> handle();
    task<step> stream_body(response& answer);
    task<step> skip_body();
    task<bool> flush();
    task<void> linger();
    void begin_request();
    [[nodiscard]] bool may_keep_alive(const response& answer) const noexcept;
    [[nodiscard]] std::chrono::milliseconds body_patience() const noexcept;
    response failed(std::exception_ptr failure) const noexcept;
    void log_bad(error failure) const noexcept;

    const router* routes_;
    const limits* limits_;
    connection_io io_;
    h1::request_parser parser_;
    h1::response_writer writer_;
    request request_;
    rt::net::chunk chunk_;
    std::string_view input_;  // What is left of `chunk_`.
    std::string out_;         // What is to be sent.
    rt::buffer sending_;      // Its memory is used again and again.
    // Of the current request's body.
    std::uint64_t body_received_ = 0;
    std::uint64_t body_waited_ms_ = 0;
    std::optional<error> body_failure_;
    bool body_done_ = true;
    bool owes_continue_ = false;
};

}  // namespace heph::http::detail
