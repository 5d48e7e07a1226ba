#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <system_error>
#include <utility>

#include <heph/http/security.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/tls/engine.hpp>

namespace heph::http {

/// A secured connection within another one: through a proxy that is spoken to in TLS.
///
/// Invariants
///     1. `output_` leaves in the order in which the engine made it, and to its end: whatever is
///        polled next goes on with it.
///     2. Nothing is received while what was received can still be read.
class nested_channel final : public secure_channel {
public:
    nested_channel(std::unique_ptr<secure_channel> outer, rt::tls::engine secured) noexcept
        : outer_(std::move(outer)), engine_(std::move(secured)) {}

    [[nodiscard]] rt::net::tcp_stream& transport() noexcept override { return outer_->transport(); }
    polled<done> poll_handshake(const waker& waker) override;
    polled<std::expected<rt::net::chunk, std::error_code>> poll_next(const waker& waker) override;
    polled<done> poll_send(const rt::buffer& bytes, std::size_t& taken,
                           const waker& waker) override;
    polled<done> poll_shutdown(const waker& waker) override;

private:
    polled<done> poll_flush(const waker& waker);
    polled<done> poll_fill(const waker& waker);

    std::unique_ptr<secure_channel> outer_;
    rt::tls::engine engine_;
    rt::buffer output_;
    std::size_t output_taken_ = 0;
    std::error_code send_failure_;
    bool sending_ = false;
    bool ended_ = false;
};

}  // namespace heph::http
