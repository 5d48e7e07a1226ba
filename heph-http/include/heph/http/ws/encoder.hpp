#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <heph/http/ws/protocol.hpp>

namespace heph::http::ws {

namespace detail {
class deflater;
}

/// How messages are sent.
struct encoder_options {
    /// Payload of one frame, in bytes; longer messages are sent in fragments.
    std::size_t frame_bytes_max = 64 * 1024;
    /// Shorter messages are not compressed.
    std::size_t compressed_bytes_min = 128;
    /// 1 (fast) to 9 (small).
    int compression_level = 4;
};

/// Writes frames as bytes (RFC 6455), no I/O.
///
/// A client's frames are masked by bytes that nobody can foresee, from the kernel.
/// *Errors*: throws `std::bad_alloc`; `std::system_error` when the kernel gives no random bytes.
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class encoder {
public:
    /// Gives four bytes to mask a frame by.
    using mask_source = std::uint32_t (*)();

    explicit encoder(role sender, const encoder_options& options = {},
                     std::optional<deflate_parameters> deflate = {});
    /// Masks by what `masks` gives, for tests.
    encoder(role sender, mask_source masks) : encoder(sender) { masks_ = masks; }
    encoder(encoder&&) noexcept;
    encoder& operator=(encoder&&) noexcept;
    ~encoder();

    /// Appends a message. *Requires*: a text is UTF-8.
    void message(std::string& out, message_kind kind, std::string_view payload);
    /// Appends a ping or a pong. What is beyond 125 bytes is left out.
    void ping(std::string& out, std::string_view payload = {}) {
        control(out, opcode::ping, payload);
    }
    void pong(std::string& out, std::string_view payload = {}) {
        control(out, opcode::pong, payload);
    }
    /// Appends a close frame: an empty one for a code that may not be sent. Of the reason, what is
    /// beyond 123 bytes is left out, at the end of a character.
    void close(std::string& out, close_code code, std::string_view reason = {});

    /// Appends one frame as it is told, without a check: a frame of a test may break the rules.
    void frame(std::string& out, opcode kind, std::string_view payload, bool is_final = true,
               bool is_compressed = false);

private:
    void control(std::string& out, opcode kind, std::string_view payload);

    encoder_options options_;
    std::unique_ptr<detail::deflater> deflater_;  // Null without permessage-deflate.
    mask_source masks_;
    role sender_;
};

}  // namespace heph::http::ws
