#pragma once

// What lies between the bytes of a connection and the frames in them: TLS, or nothing at all where
// plain text was asked for by name.
//
// States
//     opening --TLS: its handshake is done--> open       (what is read are the bytes of frames)
//     opening, open --bad input-->            failed
//     opening --it begins as the other kind does-->      failed, and mismatched
// Plain text is open from the start, so that who dials says hello at once, and waits for nothing.
//
// How it is driven
//     As `rt::tls::engine`: send `take_output()` whenever there is something; give what arrives to
//     `feed()`, then `read()` until it gives nothing. After an error, send `take_output()` once
//     more, then close.
//
// Telling the kinds apart
//     TLS begins with a record: a type from 20 to 23, then a version of 3 (RFC 8446, section 5.1).
//     Plain text begins with a frame of the handshake: its length is below 2,049, so that the first
//     two bytes are 0, and then comes the type of a hello, a welcome or a reject. Five bytes decide
//     at the most; they are held back until they do. What begins as neither goes on to who says
//     best what is wrong with it: TLS, or the handshake.
//     The accepting end answers the other kind with a reject in plain text. Who dialed in plain
//     text reads it as the answer to its hello, and who dialed with TLS knows by how it begins what
//     it met. So both ends find out within a round trip, and say the same.

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include <heph/rt/buffer.hpp>
#include <heph/rt/tls/certificate.hpp>
#include <heph/rt/tls/engine.hpp>

namespace heph::remote::detail {

/// Says how a connection begins.
enum class opening : std::uint8_t { undecided, tls, plain_text, neither };

inline constexpr std::size_t opening_bytes_max = 5;

/// Tells how a connection begins, by what came first. Five bytes are never undecided.
[[nodiscard]] opening opening_of(std::span<const std::byte> first) noexcept;

/// *Thread safety*: unsafe.
class [[nodiscard]] record_layer {
public:
    static record_layer tls(rt::tls::engine engine, bool dials) noexcept;
    static record_layer plain_text(bool dials) noexcept;

    /// Takes bytes that came. *Errors*: those of `rt::tls::engine`; `protocol_not_supported` when
    /// it is mismatched. *Lifetime*: borrows them until the next call of `read` that gives nothing.
    [[nodiscard]] std::expected<void, std::error_code> feed(std::span<const std::byte> input);
    /// Gives the next bytes of frames, in `scratch` or where they came; none when that is all for
    /// now. *Errors*: those of `rt::tls::engine`.
    [[nodiscard]] std::expected<std::span<const std::byte>, std::error_code> read(
        std::span<std::byte> scratch);
    /// Makes bytes of frames part of the output. *Requires*: open.
    /// *Errors*: those of `rt::tls::engine`.
    [[nodiscard]] std::expected<void, std::error_code> write(std::span<const std::byte> frames);
    /// Likewise, of bytes that `owner` keeps, and nobody changes: they are copied only if they are
    /// to be encrypted.
    [[nodiscard]] std::expected<void, std::error_code> write_shared(
        std::shared_ptr<const void> owner, std::span<const std::byte> frames);
    /// Announces the end of what this side sends, as far as there is a way to.
    void close_notify();
    [[nodiscard]] bool has_output() const noexcept;
    /// Tells whether the output is of so many bytes at most.
    [[nodiscard]] bool has_little_output(std::size_t bytes_max) const noexcept;
    /// Gives the bytes to send, in order.
    [[nodiscard]] std::vector<rt::buffer> take_output();
    /// Appends the bytes to send to `out`. The memory of an empty one is used again.
    void take_output(rt::buffer& out);

    /// Tells whether frames can be written, and be read when they come.
    [[nodiscard]] bool is_open() const noexcept;
    /// Tells whether the other end speaks the other kind.
    [[nodiscard]] bool is_mismatched() const noexcept { return is_mismatched_; }
    /// Tells whether anything was fed.
    [[nodiscard]] bool has_input() const noexcept { return held_ != 0; }
    /// Says in words who speaks what when the kinds differ.
    [[nodiscard]] std::string_view mismatch() const noexcept;
    /// Tells whether the peer announced the end of what it sends.
    [[nodiscard]] bool peer_closed() const noexcept;
    /// Gives what the peer's certificate says; nothing when it showed none.
    [[nodiscard]] std::optional<rt::tls::peer_certificate> certificate() const;

private:
    record_layer(std::optional<rt::tls::engine> engine, bool dials) noexcept;

    [[nodiscard]] std::expected<void, std::error_code> pass(std::span<const std::byte> input);
    [[nodiscard]] std::error_code fail_mismatched();

    std::optional<rt::tls::engine> tls_;  // Null: plain text.
    bool dials_;
    bool is_judged_ = false;
    bool is_mismatched_ = false;
    std::size_t held_ = 0;
    std::array<std::byte, opening_bytes_max> first_{};
    // Of plain text: what was fed and not read, in this order; and what is to be sent. With TLS,
    // only the answer to plain text.
    std::span<const std::byte> early_;
    std::span<const std::byte> input_;
    std::vector<rt::buffer> pieces_;  // Shared ones, and what was to be sent before them.
    rt::buffer output_;
};

}  // namespace heph::remote::detail
