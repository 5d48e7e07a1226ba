#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <heph/http/ws/decoder.hpp>
#include <heph/http/ws/encoder.hpp>

#include "raw_client.hpp"

namespace heph::http::test {

/// Makes the request of a WebSocket handshake, with the key of RFC 6455, 1.3.
inline std::string handshake_request(std::string_view path, std::string_view more_headers = {}) {
    return get_request(path,
                       "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "Sec-WebSocket-Version: 13\r\n" +
                           std::string(more_headers));
}

/// A blocking WebSocket client, that can break rules. Its answers are told as `decode` writes them.
class ws_peer {
public:
    explicit ws_peer(std::uint16_t port, std::string_view path, std::string_view more_headers = {},
                     int receive_buffer_bytes = 0)
        : client_(port, receive_buffer_bytes),
          handshake_(client_.ask(handshake_request(path, more_headers))) {}

    [[nodiscard]] const reply& handshake() const { return handshake_; }
    [[nodiscard]] raw_client& raw() { return client_; }

    void send(ws::opcode kind, std::string_view payload, bool final = true) {
        std::string out;
        writer_.frame(out, kind, payload, final);
        client_.send(out);
    }
    void text(std::string_view payload) { send(ws::opcode::text, payload); }
    void close(std::string_view payload = "\x03\xe8") { send(ws::opcode::close, payload); }

    /// Waits for the next thing the server says: `text:abc`, `close:1000:`; `end` when it closed.
    std::string next() {
        for (;;) {
            std::string_view input = std::string_view(bytes_).substr(at_);
            const ws::event found = reader_.next(input);
            at_ = bytes_.size() - input.size();
            const std::string data(found.data);
            switch (found.kind) {
                case ws::event_kind::busy:
                case ws::event_kind::need_input: break;
                case ws::event_kind::message: {
                    const ws::message got = reader_.take_message();
                    return (got.is_text() ? "text:" : "binary:") + got.payload();
                }
                case ws::event_kind::ping: return "ping:" + data;
                case ws::event_kind::pong: return "pong:" + data;
                case ws::event_kind::close:
                    return "close:" + std::to_string(static_cast<unsigned>(found.code)) + ":" +
                           data;
                case ws::event_kind::error: return "error:" + data;
            }
            bytes_ = client_.read_some();
            at_ = 0;
            if (bytes_.empty()) { return client_.was_reset() ? "reset" : "end"; }
        }
    }
    /// Sends a text and gives the answer.
    std::string ask(std::string_view payload) {
        text(payload);
        return next();
    }

private:
    raw_client client_;
    reply handshake_;
    ws::encoder writer_{ws::role::client};
    ws::decoder reader_{ws::role::client, ws::limits{64 << 20, 64 << 20}};
    std::string bytes_;
    std::size_t at_ = 0;
};

}  // namespace heph::http::test
