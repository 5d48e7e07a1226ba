#include <heph/remote/protocol/session.hpp>

#include <algorithm>
#include <array>
#include <utility>

#include <heph/inbox/assert.hpp>

namespace heph::remote::protocol {

frame_writer session::begin_frame(std::vector<std::byte>& frame) const {
    frame_writer writer(frame, frame_type::data);
    writer.u64(next_sequence());
    return writer;
}

void session::keep(kept_frame frame) {
    const std::size_t size = frame.size();
    kept_.push_back(std::move(frame));
    kept_bytes_ += size;
}

void session::push(std::vector<std::byte> frame, std::uint64_t tag) {
    push_from(0, std::move(frame), tag);
}

void session::push_from(std::size_t begin, std::vector<std::byte> frame, std::uint64_t tag) {
    kept_frame kept;
    kept.bytes = std::move(frame);
    kept.begin = static_cast<std::uint32_t>(begin);
    kept.tag = tag;
    keep(std::move(kept));
}

void session::push_with(std::vector<std::byte> frame, shared_bytes more, std::size_t at,
                        std::size_t count, std::uint64_t tag) {
    HEPH_ASSERT(more && at <= more->size() && count <= more->size() - at);
    kept_frame kept;
    kept.bytes = std::move(frame);
    kept.more = std::move(more);
    kept.more_at = at;
    kept.more_bytes = static_cast<std::uint32_t>(count);
    kept.tag = tag;
    keep(std::move(kept));
}

std::expected<void, error> session::attach(std::uint64_t peer_received) {
    // What the peer acknowledged before is not kept, so it cannot fall behind that.
    if (peer_received + 1 < base_) { return std::unexpected(error::bad_ack); }
    const auto acknowledged = on_ack(peer_received);
    if (!acknowledged) { return acknowledged; }
    attached_ = true;
    ++links_;
    written_ = 0;
    // The handshake told the peer how far we received.
    acknowledged_to_peer_ = received_;
    unacknowledged_bytes_ = 0;
    return {};
}

std::size_t session::write_to(byte_sink& out, std::size_t bytes_max) {
    if (!attached_) { return 0; }
    std::size_t written_bytes = 0;
    if (acknowledged_to_peer_ < received_) {
        // Many go out, so that they take no memory.
        constexpr std::size_t body_bytes = 1 + 8;
        std::array<std::byte, frame_header_bytes + body_bytes> acknowledging;
        field_filler ack(acknowledging);
        ack.u32(body_bytes);
        ack.u8(static_cast<std::uint8_t>(frame_type::ack));
        ack.u64(received_);
        out.put(acknowledging);
        written_bytes += acknowledging.size();
        acknowledged_to_peer_ = received_;
        unacknowledged_bytes_ = 0;
    }
    while (written_ < kept_.size() && written_bytes < bytes_max) {
        const kept_frame& frame = kept_[written_];
        out.put(std::span(frame.bytes).subspan(frame.begin));
        if (frame.more) {
            out.put_part(frame.more,
                         std::span(*frame.more).subspan(frame.more_at, frame.more_bytes));
        }
        written_bytes += frame.size();
        ++written_;
    }
    ever_written_ = std::max(ever_written_, written_);
    return written_bytes;
}

void session::write_to(std::vector<std::byte>& out, std::size_t out_bytes_max) {
    vector_sink to(out);
    (void)write_to(to, out_bytes_max - std::min(out_bytes_max, out.size()));
}

std::expected<bool, error> session::on_data(std::uint64_t sequence, std::size_t bytes) noexcept {
    if (sequence == 0 || sequence > received_ + 1) { return std::unexpected(error::sequence_gap); }
    if (sequence <= received_) { return false; }
    received_ = sequence;
    unacknowledged_bytes_ += bytes;
    return true;
}

std::expected<void, error> session::on_ack(std::uint64_t sequence) {
    // Below `base_` is an older acknowledgement, which says nothing new.
    if (sequence < base_) { return {}; }
    const std::uint64_t count = sequence - base_ + 1;
    if (count > ever_written_) { return std::unexpected(error::bad_ack); }
    for (std::uint64_t i = 0; i < count; ++i) {
        kept_bytes_ -= kept_.front().size();
        kept_.pop_front();
    }
    const auto gone = static_cast<std::size_t>(count);
    base_ = sequence + 1;
    ever_written_ -= gone;
    written_ -= std::min(written_, gone);
    return {};
}

std::vector<std::uint64_t> session::tags() const {
    std::vector<std::uint64_t> tags;
    for (const auto& frame : kept_) {
        if (frame.tag != 0) { tags.push_back(frame.tag); }
    }
    return tags;
}

std::vector<std::uint64_t> session::abandon() {
    auto lost = tags();
    kept_.clear();
    kept_bytes_ = 0;
    written_ = 0;
    ever_written_ = 0;
    attached_ = false;
    return lost;
}

}  // namespace heph::remote::protocol
