#include "record_layer.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <heph/inbox/assert.hpp>
#include <heph/remote/protocol/frame.hpp>
#include <heph/remote/protocol/handshake.hpp>

namespace heph::remote::detail {

namespace {

constexpr unsigned tls_type_first = 20;
constexpr unsigned tls_type_last = 23;
constexpr unsigned tls_version_major = 3;

bool begins_a_meeting(unsigned type) noexcept {
    using enum protocol::frame_type;
    return type == static_cast<unsigned>(hello) || type == static_cast<unsigned>(welcome) ||
           type == static_cast<unsigned>(reject);
}

}  // namespace

opening opening_of(std::span<const std::byte> first) noexcept {
    const auto at = [first](std::size_t index) { return std::to_integer<unsigned>(first[index]); };
    if (first.empty()) { return opening::undecided; }
    if (at(0) >= tls_type_first && at(0) <= tls_type_last) {
        if (first.size() < 2) { return opening::undecided; }
        return at(1) == tls_version_major ? opening::tls : opening::neither;
    }
    // The length, as far as it is there: what is missing can only make it larger.
    std::size_t length = 0;
    for (std::size_t i = 0; i < protocol::frame_header_bytes; ++i) {
        length = length << 8 | (i < first.size() ? at(i) : 0);
    }
    if (length > protocol::handshake_frame_bytes_max) { return opening::neither; }
    if (first.size() < protocol::frame_header_bytes) { return opening::undecided; }
    if (length == 0) { return opening::neither; }
    if (first.size() < opening_bytes_max) { return opening::undecided; }
    return begins_a_meeting(at(protocol::frame_header_bytes)) ? opening::plain_text
                                                              : opening::neither;
}

record_layer::record_layer(std::optional<rt::tls::engine> engine, bool dials) noexcept
    : tls_(std::move(engine)), dials_(dials) {}

record_layer record_layer::tls(rt::tls::engine engine, bool dials) noexcept {
    return {std::optional<rt::tls::engine>(std::move(engine)), dials};
}

record_layer record_layer::plain_text(bool dials) noexcept { return {std::nullopt, dials}; }

std::expected<void, std::error_code> record_layer::feed(std::span<const std::byte> input) {
    if (is_mismatched_) {
        return std::unexpected(std::make_error_code(std::errc::protocol_not_supported));
    }
    if (is_judged_) { return pass(input); }
    const std::size_t before = held_;
    const std::size_t added = std::min(input.size(), first_.size() - held_);
    std::ranges::copy(input.first(added), first_.begin() + static_cast<std::ptrdiff_t>(held_));
    held_ += added;
    const opening how = opening_of(std::span(first_).first(held_));
    if (how == opening::undecided) { return {}; }
    is_judged_ = true;
    if (how == (tls_ ? opening::plain_text : opening::tls)) {
        return std::unexpected(fail_mismatched());
    }
    if (before != 0) {
        if (auto passed = pass(std::span(first_).first(before)); !passed) { return passed; }
    }
    return pass(input);
}

std::expected<void, std::error_code> record_layer::pass(std::span<const std::byte> input) {
    if (tls_) { return tls_->feed_in_place(input); }
    HEPH_ASSERT(early_.empty());
    early_ = std::exchange(input_, input);
    return {};
}

std::error_code record_layer::fail_mismatched() {
    is_mismatched_ = true;
    if (!dials_) {
        auto refusing = protocol::handshake::accept_from({});
        refusing.on_bad_frame(protocol::error::other_security);
        std::vector<std::byte> said;
        refusing.take_output(said);
        output_.append(said);
    }
    return std::make_error_code(std::errc::protocol_not_supported);
}

std::expected<std::span<const std::byte>, std::error_code> record_layer::read(
    std::span<std::byte> scratch) {
    if (tls_) {
        const auto count = tls_->read(scratch);
        if (!count) { return std::unexpected(count.error()); }
        return scratch.first(*count);
    }
    if (!early_.empty()) { return std::exchange(early_, {}); }
    return std::exchange(input_, {});
}

std::expected<void, std::error_code> record_layer::write(std::span<const std::byte> frames) {
    HEPH_ASSERT(is_open());
    if (tls_) { return tls_->write(frames); }
    output_.append(frames);
    return {};
}

std::expected<void, std::error_code> record_layer::write_shared(std::shared_ptr<const void> owner,
                                                                std::span<const std::byte> frames) {
    if (tls_) { return write(frames); }
    HEPH_ASSERT(is_open());
    if (!output_.empty()) { pieces_.push_back(std::exchange(output_, rt::buffer())); }
    const std::string_view text(reinterpret_cast<const char*>(frames.data()), frames.size());
    pieces_.push_back(rt::buffer::of_shared(std::move(owner), text));
    return {};
}

void record_layer::close_notify() {
    if (tls_) { tls_->close_notify(); }
}

bool record_layer::has_output() const noexcept {
    return !output_.empty() || !pieces_.empty() || (tls_ && !is_mismatched_ && tls_->has_output());
}

bool record_layer::has_little_output(std::size_t bytes_max) const noexcept {
    if (!pieces_.empty()) { return false; }
    return (tls_ && !is_mismatched_ ? tls_->output_size() : output_.size()) <= bytes_max;
}

std::vector<rt::buffer> record_layer::take_output() {
    auto taken = std::exchange(pieces_, {});
    rt::buffer rest =
        tls_ && !is_mismatched_ ? tls_->take_output() : std::exchange(output_, rt::buffer());
    if (!rest.empty()) { taken.push_back(std::move(rest)); }
    return taken;
}

void record_layer::take_output(rt::buffer& out) {
    if (tls_ && !is_mismatched_) { return tls_->take_output(out); }
    for (const rt::buffer& each : std::exchange(pieces_, {})) { out.append(each.bytes()); }
    if (out.empty()) {
        std::swap(out, output_);
    } else {
        out.append(output_.bytes());
        output_.clear();
    }
}

bool record_layer::is_open() const noexcept {
    return !is_mismatched_ && (!tls_ || (tls_->handshake_done() && !tls_->failed()));
}

std::string_view record_layer::mismatch() const noexcept {
    return tls_ ? "it speaks plain text, and this node TLS: set both up the same way"
                : "it speaks TLS, and this node plain text: set both up the same way";
}

bool record_layer::peer_closed() const noexcept { return tls_ && tls_->peer_closed(); }

std::optional<rt::tls::peer_certificate> record_layer::certificate() const {
    return tls_ ? tls_->peer() : std::nullopt;
}

}  // namespace heph::remote::detail
