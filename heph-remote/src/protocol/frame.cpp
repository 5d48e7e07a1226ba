#include <heph/remote/protocol/frame.hpp>

#include <heph/inbox/assert.hpp>

namespace heph::remote::protocol {

void frame_reader::feed(std::span<const std::byte> bytes) {
    if (taken_ != 0) {
        held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(taken_));
        taken_ = 0;
    }
    held_.insert(held_.end(), bytes.begin(), bytes.end());
}

std::expected<std::optional<std::span<const std::byte>>, error> frame_reader::next() noexcept {
    const auto held = std::span<const std::byte>(held_).subspan(taken_);
    field_reader header(held);
    const std::uint32_t size = header.u32();
    if (!header.good()) { return std::nullopt; }
    if (size == 0) { return std::unexpected(error::garbage); }
    if (size > frame_bytes_max_) { return std::unexpected(error::frame_too_large); }
    if (held.size() - frame_header_bytes < size) { return std::nullopt; }
    taken_ += frame_header_bytes + size;
    return held.subspan(frame_header_bytes, size);
}

frame_writer::frame_writer(std::vector<std::byte>& out, frame_type type)
    : out_(&out), begin_(out.size()) {
    u32(0);
    u8(static_cast<std::uint8_t>(type));
}

void frame_writer::number(std::uint64_t value, std::size_t width) {
    std::byte encoded[8];
    for (std::size_t i = 0; i < width; ++i) {
        encoded[width - 1 - i] = static_cast<std::byte>(value >> (8 * i));
    }
    bytes(std::span(encoded).first(width));
}

void frame_writer::end() noexcept {
    const std::size_t size = out_->size() - begin_ - frame_header_bytes;
    HEPH_ASSERT(size <= 0xffff'ffff);
    for (std::size_t i = 0; i < frame_header_bytes; ++i) {
        (*out_)[begin_ + i] = static_cast<std::byte>(size >> (8 * (frame_header_bytes - 1 - i)));
    }
}

}  // namespace heph::remote::protocol
