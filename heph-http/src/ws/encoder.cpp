#include <algorithm>
#include <array>
#include <cstring>

#include <heph/http/ws/encoder.hpp>

#include "../random.hpp"
#include "deflate.hpp"
#include "mask.hpp"

namespace heph::http::ws {

namespace {

using detail::deflater;

constexpr std::size_t control_bytes_max = 125;

void append_length(std::string& out, std::uint64_t length, unsigned mask) {
    const auto append_bytes = [&](unsigned bytes) {
        for (unsigned shift = bytes * 8; shift > 0; shift -= 8) {
            out += static_cast<char>(length >> (shift - 8) & 0xffU);
        }
    };
    if (length < 126) {
        out += static_cast<char>(mask | static_cast<unsigned>(length));
    } else if (length < 65536) {
        out += static_cast<char>(mask | 126U);
        append_bytes(2);
    } else {
        out += static_cast<char>(mask | 127U);
        append_bytes(8);
    }
}

std::unique_ptr<deflater> make_deflater(role sender, const encoder_options& options,
                                        const std::optional<deflate_parameters>& deflate) {
    if (!deflate) { return nullptr; }
    const bool client = sender == role::client;
    return std::make_unique<deflater>(
        client ? deflate->client_max_window_bits : deflate->server_max_window_bits,
        client ? deflate->client_no_context_takeover : deflate->server_no_context_takeover,
        options.compression_level);
}

}  // namespace

encoder::encoder(role sender, const encoder_options& options,
                 std::optional<deflate_parameters> deflate)
    : options_(options),
      deflater_(make_deflater(sender, options, deflate)),
      masks_(&http::detail::random_mask),
      sender_(sender) {}
encoder::encoder(encoder&&) noexcept = default;
encoder& encoder::operator=(encoder&&) noexcept = default;
encoder::~encoder() = default;

void encoder::message(std::string& out, message_kind kind, std::string_view payload) {
    std::string smaller;
    const bool compressed = deflater_ && payload.size() >= options_.compressed_bytes_min;
    if (compressed) {
        smaller = deflater_->message(payload);
        payload = smaller;
    }
    const std::size_t step = std::max<std::size_t>(options_.frame_bytes_max, 1);
    opcode next = kind == message_kind::text ? opcode::text : opcode::binary;
    do {
        const std::string_view piece = payload.substr(0, step);
        payload.remove_prefix(piece.size());
        frame(out, next, piece, payload.empty(), compressed && next != opcode::continuation);
        next = opcode::continuation;
    } while (!payload.empty());
}

void encoder::control(std::string& out, opcode kind, std::string_view payload) {
    frame(out, kind, payload.substr(0, control_bytes_max));
}

void encoder::close(std::string& out, close_code code, std::string_view reason) {
    std::string payload;
    if (is_sendable(code)) {
        payload += static_cast<char>(static_cast<unsigned>(code) >> 8U);
        payload += static_cast<char>(static_cast<unsigned>(code) & 0xffU);
        std::size_t end = std::min(reason.size(), control_bytes_max - payload.size());
        // Not within a character: the rest of one is no UTF-8.
        while (end > 0 && end < reason.size() &&
               (static_cast<unsigned char>(reason[end]) & 0xc0U) == 0x80U) {
            --end;
        }
        payload.append(reason.substr(0, end));
    }
    control(out, opcode::close, payload);
}

void encoder::frame(std::string& out, opcode kind, std::string_view payload, bool is_final,
                    bool is_compressed) {
    const unsigned first =
        static_cast<unsigned>(kind) | (is_final ? 0x80U : 0U) | (is_compressed ? 0x40U : 0U);
    out += static_cast<char>(first);
    if (sender_ == role::server) {
        append_length(out, payload.size(), 0);
        out.append(payload);
        return;
    }
    append_length(out, payload.size(), 0x80);
    const std::uint32_t bits = masks_();
    std::array<char, 4> mask{};
    std::memcpy(mask.data(), &bits, mask.size());
    out.append(mask.data(), mask.size());
    const std::size_t at = out.size();
    out.append(payload);
    (void)detail::apply_mask(out.data() + at, payload.size(), mask, 0);
}

}  // namespace heph::http::ws
