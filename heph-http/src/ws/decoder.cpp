#include <algorithm>
#include <utility>

#include <heph/http/ws/decoder.hpp>

#include "../h1/known_length.hpp"
#include "deflate.hpp"
#include "mask.hpp"

namespace heph::http::ws {

namespace {

using detail::inflater;

constexpr unsigned final_bit = 0x80;
constexpr unsigned compressed_bit = 0x40;  // RSV1, for permessage-deflate.
constexpr unsigned reserved_bits = 0x30;
constexpr unsigned mask_bit = 0x80;
constexpr unsigned length_in_2 = 126;
constexpr unsigned length_in_8 = 127;
constexpr std::size_t mask_bytes = 4;

// So much is decompressed at a time, which takes less than a millisecond.
constexpr std::size_t slice_bytes = 64 * 1024;
// Memory for what is to be decompressed beyond this is given back.
constexpr std::size_t kept_bytes_max = 16 * 1024;

unsigned byte_at(const std::array<char, 14>& header, std::size_t at) noexcept {
    return static_cast<unsigned char>(header[at]);
}

bool is_known(opcode kind) noexcept {
    switch (kind) {
        case opcode::continuation:
        case opcode::text:
        case opcode::binary:
        case opcode::close:
        case opcode::ping:
        case opcode::pong: return true;
    }
    return false;
}

std::unique_ptr<inflater> make_inflater(role receiver,
                                        const std::optional<deflate_parameters>& deflate) {
    if (!deflate) { return nullptr; }
    const bool from_client = receiver == role::server;
    return std::make_unique<inflater>(
        from_client ? deflate->client_max_window_bits : deflate->server_max_window_bits,
        from_client ? deflate->client_no_context_takeover : deflate->server_no_context_takeover);
}

}  // namespace

decoder::decoder(role receiver, const limits& bounds, std::optional<deflate_parameters> deflate)
    : limits_(bounds), inflater_(make_inflater(receiver, deflate)), receiver_(receiver) {}
decoder::decoder(decoder&&) noexcept = default;
decoder& decoder::operator=(decoder&&) noexcept = default;
decoder::~decoder() = default;

event decoder::next(std::string_view& input) {
    for (;;) {
        const event found = next_slice(input);
        if (found.kind != event_kind::busy) { return found; }
    }
}

event decoder::next_slice(std::string_view& input) {
    for (;;) {
        std::optional<event> found;
        switch (state_) {
            case state::header:
                if (input.empty()) { return event(event_kind::need_input); }
                found = take_header(input);
                break;
            case state::payload:
                if (input.empty()) { return event(event_kind::need_input); }
                found = take_payload(input);
                break;
            case state::inflating: found = inflate_slice(); break;
            case state::closed: input = {}; return event(event_kind::need_input);
            case state::failed: return event(event_kind::error, failure_, failed_with_);
        }
        if (found) { return *found; }
    }
}

message decoder::take_message() noexcept {
    message taken(kind_, std::move(message_));
    message_.clear();
    return taken;
}

event decoder::fail(close_code why, std::string_view text) noexcept {
    state_ = state::failed;
    failed_with_ = why;
    failure_ = text;
    std::string().swap(message_);
    return event(event_kind::error, failure_, failed_with_);
}

std::optional<event> decoder::take_header(std::string_view& input) {
    while (header_size_ < header_needed_) {
        if (input.empty()) { return std::nullopt; }
        header_[header_size_++] = input.front();
        input.remove_prefix(1);
        if (header_size_ != 2) { continue; }
        if (auto refused = check_first_bytes()) { return refused; }
    }
    if (auto refused = read_length()) { return refused; }
    if (receiver_ == role::server) {
        std::copy_n(header_.begin() + header_needed_ - mask_bytes, mask_bytes, mask_.begin());
    }
    mask_at_ = 0;
    header_size_ = 0;
    header_needed_ = 2;
    state_ = state::payload;
    if (left_ == 0) { return end_frame(); }
    return std::nullopt;
}

std::optional<event> decoder::check_first_bytes() noexcept {
    const unsigned first = byte_at(header_, 0);
    const unsigned second = byte_at(header_, 1);
    const auto kind = static_cast<opcode>(first & 0x0fU);
    const unsigned length = second & 0x7fU;
    const bool compressed = (first & compressed_bit) != 0;
    final_ = (first & final_bit) != 0;
    opcode_ = kind;
    if ((first & reserved_bits) != 0 || (compressed && !inflater_)) {
        return fail(close_code::protocol_error, "a reserved bit is set");
    }
    if (!is_known(kind)) { return fail(close_code::protocol_error, "the opcode is reserved"); }
    if (((second & mask_bit) != 0) != (receiver_ == role::server)) {
        return fail(close_code::protocol_error, receiver_ == role::server
                                                    ? "a client's frame has no mask"
                                                    : "a server's frame has a mask");
    }
    if (is_control()) {
        if (!final_) { return fail(close_code::protocol_error, "a control frame is fragmented"); }
        if (length >= length_in_2) {
            return fail(close_code::protocol_error, "a control frame is longer than 125 bytes");
        }
        if (compressed) { return fail(close_code::protocol_error, "a reserved bit is set"); }
        control_size_ = 0;
    } else if (auto refused = check_data_frame(kind, compressed)) {
        return refused;
    }
    header_needed_ = static_cast<std::uint8_t>(2 +
                                               (length == length_in_2   ? 2
                                                : length == length_in_8 ? 8
                                                                        : 0) +
                                               (receiver_ == role::server ? mask_bytes : 0));
    return std::nullopt;
}

std::optional<event> decoder::check_data_frame(opcode kind, bool compressed) noexcept {
    if (kind == opcode::continuation) {
        if (!in_message_) {
            return fail(close_code::protocol_error, "a continuation continues nothing");
        }
        if (compressed) { return fail(close_code::protocol_error, "a reserved bit is set"); }
        return std::nullopt;
    }
    if (in_message_) {
        return fail(close_code::protocol_error, "a message begins within another one");
    }
    in_message_ = true;
    compressed_ = compressed;
    kind_ = kind == opcode::text ? message_kind::text : message_kind::binary;
    message_.clear();
    utf8_.reset();
    return std::nullopt;
}

std::optional<event> decoder::read_length() noexcept {
    const unsigned short_length = byte_at(header_, 1) & 0x7fU;
    left_ = short_length;
    if (short_length >= length_in_2) {
        const std::size_t bytes = short_length == length_in_2 ? 2 : 8;
        left_ = 0;
        for (std::size_t i = 0; i < bytes; ++i) { left_ = left_ << 8U | byte_at(header_, 2 + i); }
        if (left_ < (bytes == 2 ? std::uint64_t{126} : std::uint64_t{65536})) {
            return fail(close_code::protocol_error, "a length has more bytes than it needs");
        }
        if (left_ >> 63U != 0) {
            return fail(close_code::protocol_error, "a length has its highest bit set");
        }
    }
    if (is_control()) { return std::nullopt; }
    if (left_ > limits_.frame_bytes_max) {
        return fail(close_code::message_too_big, "a frame is larger than is taken here");
    }
    // What a compressed one comes to is known only later.
    if (!compressed_ && (message_.size() > limits_.message_bytes_max ||
                         left_ > limits_.message_bytes_max - message_.size())) {
        return fail(close_code::message_too_big, "a message is larger than is taken here");
    }
    return std::nullopt;
}

std::optional<event> decoder::take_payload(std::string_view& input) {
    const std::string_view piece = h1::take_known_length(input, left_);
    if (is_control()) {
        char* const to = control_.data() + control_size_;
        std::ranges::copy(piece, to);
        if (receiver_ == role::server) {
            mask_at_ = detail::apply_mask(to, piece.size(), mask_, mask_at_);
        }
        control_size_ = static_cast<std::uint8_t>(control_size_ + piece.size());
    } else if (auto refused = take_data(piece)) {
        return refused;
    }
    if (left_ == 0 && state_ == state::payload) { return end_frame(); }
    return std::nullopt;
}

std::optional<event> decoder::take_data(std::string_view piece) {
    const std::size_t before = message_.size();
    if (compressed_) {
        packed_ = piece;
        packed_at_ = 0;
        if (receiver_ == role::server) {
            mask_at_ = detail::apply_mask(packed_.data(), packed_.size(), mask_, mask_at_);
        }
        state_ = state::inflating;
        return std::nullopt;
    }
    message_.append(piece);
    if (receiver_ == role::server) {
        mask_at_ = detail::apply_mask(message_.data() + before, piece.size(), mask_, mask_at_);
    }
    if (kind_ == message_kind::text && !utf8_.feed(std::string_view(message_).substr(before))) {
        return fail(close_code::invalid_payload, "a text is not UTF-8");
    }
    return std::nullopt;
}

// Decompresses some of what there is.
std::optional<event> decoder::inflate_slice() {
    const std::size_t before = message_.size();
    std::string_view rest = std::string_view(packed_).substr(packed_at_);
    const auto done = inflater_->add(rest, message_, limits_.message_bytes_max, slice_bytes);
    packed_at_ = packed_.size() - rest.size();
    if (auto refused = check_inflated(done, before)) { return refused; }
    if (done == inflater::outcome::more) { return event(event_kind::busy); }
    if (packed_.capacity() > kept_bytes_max) { std::string().swap(packed_); }
    packed_.clear();
    packed_at_ = 0;
    state_ = state::payload;
    if (left_ == 0) { return end_frame(); }
    return std::nullopt;
}

// In the order of the bytes, however much was decompressed at once.
std::optional<event> decoder::check_inflated(inflater::outcome done, std::size_t before) {
    if (kind_ == message_kind::text && !utf8_.feed(std::string_view(message_).substr(before))) {
        return fail(close_code::invalid_payload, "a text is not UTF-8");
    }
    if (done == inflater::outcome::too_big) {
        return fail(close_code::message_too_big, "a message is larger than is taken here");
    }
    if (done == inflater::outcome::broken) {
        return fail(close_code::invalid_payload, "compressed data is broken");
    }
    return std::nullopt;
}

std::optional<event> decoder::end_frame() {
    state_ = state::header;
    if (is_control()) { return end_control(); }
    if (!final_) { return std::nullopt; }
    return end_message();
}

event decoder::end_message() {
    if (compressed_) {
        const std::size_t before = message_.size();
        const auto done = inflater_->end(message_, limits_.message_bytes_max);
        if (auto refused = check_inflated(done, before)) { return *refused; }
    }
    if (kind_ == message_kind::text && !utf8_.is_complete()) {
        return fail(close_code::invalid_payload, "a text is not UTF-8");
    }
    in_message_ = false;
    return event(event_kind::message, message_);
}

event decoder::end_control() noexcept {
    const std::string_view payload(control_.data(), control_size_);
    if (opcode_ == opcode::ping) { return event(event_kind::ping, payload); }
    if (opcode_ == opcode::pong) { return event(event_kind::pong, payload); }
    if (payload.empty()) {
        state_ = state::closed;
        return event(event_kind::close);
    }
    if (payload.size() < 2) {
        return fail(close_code::protocol_error, "a close frame has half a code");
    }
    const auto number = static_cast<unsigned>(static_cast<unsigned char>(payload[0])) << 8U |
                        static_cast<unsigned char>(payload[1]);
    const auto code = static_cast<close_code>(number);
    if (!is_sendable(code)) {
        return fail(close_code::protocol_error, "a close frame has a code that is not allowed");
    }
    const std::string_view reason = payload.substr(2);
    utf8_validator valid;
    if (!valid.feed(reason) || !valid.is_complete()) {
        return fail(close_code::invalid_payload, "the reason in a close frame is not UTF-8");
    }
    state_ = state::closed;
    return event(event_kind::close, reason, code);
}

}  // namespace heph::http::ws
