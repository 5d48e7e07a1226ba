#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace heph::http {

/// Bounds what a peer may cost. All of them are on by default; a request that goes over one is
/// answered with the status named beside it.
struct limits {
    /// Request line with its target: 414.
    std::size_t request_line_bytes_max = 8 * 1024;
    /// Request line and header section together: 431.
    std::size_t head_bytes_max = 16 * 1024;
    /// Header fields: 431.
    std::size_t headers_max = 100;
    /// Body that a handler gets, whole or by the piece, unless it names another limit
    /// (`request::set_body_limit`): 413.
    std::uint64_t body_bytes_max = 1024 * 1024;
    /// Body of any request, whatever its handler allows: 413, before the handler is called when
    /// the length is announced. For a client: body of any answer.
    std::uint64_t streamed_body_bytes_max = std::numeric_limits<std::uint64_t>::max();
    /// Extension of one chunk of a chunked body: 400. All of a body together may take 64 times
    /// that, and a byte more for each byte of the body.
    std::size_t chunk_extension_bytes_max = 256;
    /// Trailer section of a chunked body: 431.
    std::size_t trailer_bytes_max = 4 * 1024;
    /// Body that a handler left unread and that is read and dropped to keep the connection; with
    /// more the connection is closed.
    std::uint64_t unread_body_bytes_max = 256 * 1024;
    /// Replies to pipelined requests that are gathered before they are sent.
    std::size_t gathered_bytes_max = 64 * 1024;
    /// Connections of one worker. For a further one, that which has not asked for anything since
    /// its beginning is closed once `first_request_grace` is over, or else that which waits for its
    /// next request for the longest time; where there is neither, the new one is answered with 503
    /// and closed.
    std::size_t connections_max = 16 * 1024;
    /// Connections of one worker from one address, so that nobody takes all of them; further ones
    /// are answered with 503 and closed. An IPv6 address counts by its first 64 bits. Behind a
    /// reverse proxy, all connections are from its address.
    std::size_t connections_per_address_max = 8 * 1024;
    /// Requests that one worker answers at a time, from when their handlers are called to when
    /// these have answered; further ones get 503 at once, before any handler or middleware is
    /// called, and keep their connections. Those that take no waiting do not count.
    std::size_t requests_max = 16 * 1024;
    /// Log lines a minute that one worker writes about bad clients, and as many again about what
    /// fails on this side; further ones are counted, and the count is logged.
    std::uint32_t log_lines_per_minute_max = 60;

    /// From a connection's beginning to the end of its TLS handshake: closed.
    std::chrono::milliseconds handshake_timeout{10'000};
    /// From the first byte of a request to the end of its head: 408.
    std::chrono::milliseconds head_timeout{10'000};
    /// From a connection's beginning, or a response, to the first byte of the next request: closed.
    std::chrono::milliseconds idle_timeout{60'000};
    /// From a connection's beginning, or its TLS handshake, to when it may be closed for another
    /// one although it has not asked for anything yet. Until then its first request is on its way.
    std::chrono::milliseconds first_request_grace{1'000};
    /// Body bytes a second that must arrive, on average, once `body_grace` is over: 408.
    std::uint64_t body_bytes_per_second_min = 1024;
    /// From when a body is first waited for to when its rate counts.
    std::chrono::milliseconds body_grace{5'000};
    /// How long a peer to which bytes are on their way may acknowledge none of them: reset. It is
    /// noticed an eighth of that later at most.
    std::chrono::milliseconds send_timeout{30'000};
    /// Bytes a second that it must acknowledge, on average, of each 256 KiB once `send_timeout` is
    /// over; 0 for any: reset. So nobody holds an answer for long by reading bit by bit.
    std::uint64_t send_bytes_per_second_min = 1024;
    /// How long a peer may take to read the answer to a bad request before the socket is closed.
    std::chrono::milliseconds linger_timeout{2'000};
};

}  // namespace heph::http
