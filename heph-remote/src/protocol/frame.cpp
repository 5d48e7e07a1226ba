#include <heph/remote/protocol/frame.hpp>

#include <algorithm>
#include <utility>

#include <heph/inbox/assert.hpp>

namespace heph::remote::protocol {

// Gives how many bytes a frame has with its length, or 0 when that is not known yet.
std::expected<std::size_t, error> frame_reader::size_of(
    std::span<const std::byte> frame) const noexcept {
    field_reader header(frame);
    const std::uint32_t size = header.u32();
    if (!header.good()) { return 0; }
    if (size == 0) { return std::unexpected(error::garbage); }
    if (size > frame_bytes_max_) { return std::unexpected(error::frame_too_large); }
    return frame_header_bytes + size;
}

void frame_reader::reserve(std::size_t bytes) {
    if (bytes <= capacity_) { return; }
    auto grown = std::make_unique_for_overwrite<std::byte[]>(bytes);
    if (kept_ != 0) { std::memcpy(grown.get(), memory_.get(), kept_); }
    memory_ = std::move(grown);
    capacity_ = bytes;
}

// Copies what was fed behind what is kept.
void frame_reader::keep(std::size_t count) {
    if (count == 0) { return; }
    if (capacity_ < kept_ + count) { reserve(std::max(2 * capacity_, kept_ + count)); }
    std::memcpy(memory_.get() + kept_, fed_.data(), count);
    kept_ += count;
    fed_ = fed_.subspan(count);
}

std::span<std::byte> frame_reader::room() {
    if (was_given_) { return {}; }
    if (!placed_.empty()) { return placed_.subspan(placed_bytes_); }
    const auto size = size_of({memory_.get(), kept_});
    if (!size || *size <= kept_) { return {}; }
    // Not all of a very large one at once: first its bytes have to come.
    if (capacity_ - kept_ < std::min(*size - kept_, room_ahead)) {
        reserve(std::min(*size, std::max(2 * kept_, kept_ + room_ahead)));
    }
    return std::span(memory_.get(), std::min(capacity_, *size)).subspan(kept_);
}

// Once for each frame, as soon as its head is there, and if nothing behind it is kept.
void frame_reader::ask(frame_placer& placer, std::size_t frame_bytes) {
    constexpr std::size_t head_end = frame_header_bytes + frame_placer::head_bytes;
    if (frame_bytes <= head_end) { return; }
    if (kept_ < head_end) { keep(std::min(fed_.size(), head_end - kept_)); }
    if (kept_ < head_end) { return; }
    was_asked_ = true;
    if (kept_ > head_end) { return; }
    const std::span<const std::byte> head(memory_.get() + frame_header_bytes,
                                          frame_placer::head_bytes);
    placed_ = placer.place(head.first<frame_placer::head_bytes>(), frame_bytes - head_end);
    HEPH_ASSERT(placed_.empty() || placed_.size() == frame_bytes - head_end);
}

std::expected<std::optional<std::span<const std::byte>>, error> frame_reader::next(
    frame_placer* placer) {
    if (std::exchange(was_given_, false)) {
        kept_ = 0;
        forget_place();
        if (capacity_ > memory_kept_max) {
            memory_.reset();
            capacity_ = 0;
        }
    }
    if (kept_ == 0) {
        const auto size = size_of(fed_);
        if (!size) { return std::unexpected(size.error()); }
        if (*size != 0 && *size <= fed_.size()) {
            const auto frame = fed_.first(*size);
            fed_ = fed_.subspan(*size);
            return frame.subspan(frame_header_bytes);
        }
    }
    if (kept_ < frame_header_bytes) { keep(std::min(fed_.size(), frame_header_bytes - kept_)); }
    const auto size = size_of({memory_.get(), kept_});
    if (!size) { return std::unexpected(size.error()); }
    if (*size == 0) { return std::nullopt; }
    if (placer != nullptr && !was_asked_) { ask(*placer, *size); }
    if (!placed_.empty()) {
        const std::size_t count = std::min(fed_.size(), placed_.size() - placed_bytes_);
        if (count != 0) { std::memcpy(placed_.data() + placed_bytes_, fed_.data(), count); }
        fed_ = fed_.subspan(count);
        placed_bytes_ += count;
        if (placed_bytes_ < placed_.size()) { return std::nullopt; }
    } else {
        if (!fed_.empty()) {
            (void)room();
            keep(std::min(fed_.size(), *size - kept_));
        }
        if (kept_ < *size) { return std::nullopt; }
    }
    was_given_ = true;
    return std::span<const std::byte>(memory_.get(), kept_).subspan(frame_header_bytes);
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

void frame_writer::end(std::size_t more) noexcept {
    const std::size_t size = out_->size() - begin_ - frame_header_bytes + more;
    HEPH_ASSERT(size <= 0xffff'ffff);
    for (std::size_t i = 0; i < frame_header_bytes; ++i) {
        (*out_)[begin_ + i] = static_cast<std::byte>(size >> (8 * (frame_header_bytes - 1 - i)));
    }
}

}  // namespace heph::remote::protocol
