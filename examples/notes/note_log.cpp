#include "note_log.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include <heph/inbox/assert.hpp>

#include "checksum.hpp"

namespace notes {

namespace {

constexpr std::string_view file_magic = "heph-notes-log 1";
constexpr std::string_view frame_magic = "HNLf";
constexpr std::size_t record_header_bytes = 9;

template <typename Integer>
void append(heph::rt::buffer& out, Integer value) {
    std::array<std::byte, sizeof(Integer)> octets{};
    for (std::byte& octet : octets) {
        octet = static_cast<std::byte>(value & 0xff);
        value = static_cast<Integer>(static_cast<std::uint64_t>(value) >> 8);
    }
    out.append(octets);
}

template <typename Integer>
Integer number_at(std::span<const std::byte> bytes, std::size_t offset) noexcept {
    std::uint64_t value = 0;
    for (std::size_t at = sizeof(Integer); at-- > 0;) {
        value = value << 8 | std::to_integer<std::uint64_t>(bytes[offset + at]);
    }
    return static_cast<Integer>(value);
}

std::string_view text_of(std::span<const std::byte> bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Starts a checksum that only this file's bytes have.
std::uint32_t salted(std::uint64_t salt) noexcept {
    std::array<std::byte, sizeof salt> octets{};
    std::memcpy(octets.data(), &salt, sizeof salt);
    if constexpr (std::endian::native == std::endian::big) { std::ranges::reverse(octets); }
    return crc32c(octets);
}

std::size_t size_of(const record& added) noexcept {
    return record_header_bytes + added.id.size() + added.content_type.size() + added.body.size();
}

struct frame_header {
    std::uint32_t payload_bytes = 0;
    std::uint64_t first_sequence = 0;
    std::uint32_t records = 0;
    std::uint32_t payload_crc = 0;
};

// Gives nothing when these bytes do not start a frame of this file.
std::optional<frame_header> parse_frame_header(std::span<const std::byte> bytes,
                                               std::uint64_t salt) noexcept {
    if (!text_of(bytes).starts_with(frame_magic)) { return std::nullopt; }
    const auto checked = bytes.first(frame_header_bytes - 4);
    if (crc32c(checked, salted(salt)) != number_at<std::uint32_t>(bytes, checked.size())) {
        return std::nullopt;
    }
    frame_header header;
    header.payload_bytes = number_at<std::uint32_t>(bytes, 4);
    header.first_sequence = number_at<std::uint64_t>(bytes, 8);
    header.records = number_at<std::uint32_t>(bytes, 16);
    header.payload_crc = number_at<std::uint32_t>(bytes, 20);
    return header;
}

// Splits a payload into its records; gives false when it is malformed.
bool parse_payload(std::span<const std::byte> payload, std::uint32_t count,
                   std::vector<record>& out) {
    out.clear();
    for (std::uint32_t i = 0; i < count; ++i) {
        if (payload.size() < record_header_bytes) { return false; }
        const auto kind = std::to_integer<std::uint8_t>(payload[0]);
        const std::size_t id_bytes = number_at<std::uint16_t>(payload, 1);
        const std::size_t type_bytes = number_at<std::uint16_t>(payload, 3);
        const std::size_t body_bytes = number_at<std::uint32_t>(payload, 5);
        payload = payload.subspan(record_header_bytes);
        if (kind != 1 && kind != 2) { return false; }
        if (payload.size() < id_bytes + type_bytes + body_bytes) { return false; }
        record found;
        found.kind = static_cast<record_kind>(kind);
        found.id = text_of(payload.first(id_bytes));
        found.content_type = text_of(payload.subspan(id_bytes, type_bytes));
        found.body = text_of(payload.subspan(id_bytes + type_bytes, body_bytes));
        payload = payload.subspan(id_bytes + type_bytes + body_bytes);
        out.push_back(found);
    }
    return payload.empty();
}

class recovering {
public:
    recovering(log_source& source, std::string_view node,
               const std::function<void(const record&)>& apply)
        : source_(source), node_(node), apply_(apply) {}

    std::expected<recovery, log_error> run() {
        if (source_.size() == 0) { return result_; }
        if (auto read = read_file_header(); !read) { return std::unexpected(read.error()); }
        while (!result_.tail && result_.good_bytes < source_.size()) {
            if (auto read = read_frame(); !read) { return std::unexpected(read.error()); }
        }
        return std::move(result_);
    }

private:
    using outcome = std::expected<void, log_error>;

    static std::unexpected<log_error> refuse(std::uint64_t offset, std::string reason) {
        return std::unexpected(log_error{offset, std::move(reason)});
    }

    outcome read(std::uint64_t offset, std::span<std::byte> out) {
        auto done = source_.read_at(offset, out);
        if (!done) { return refuse(offset, "cannot be read: " + done.error().message()); }
        return {};
    }

    outcome read_file_header() {
        std::array<std::byte, log_header_bytes> bytes{};
        const auto there =
            static_cast<std::size_t>(std::min<std::uint64_t>(source_.size(), log_header_bytes));
        if (auto done = read(0, std::span(bytes).first(there)); !done) { return done; }
        const std::size_t magic_there = std::min(there, file_magic.size());
        if (text_of(bytes).substr(0, magic_there) != file_magic.substr(0, magic_there)) {
            return refuse(0, "is not a log of notes, or one of another version");
        }
        if (there < log_header_bytes) {
            result_.tail = torn_tail{0, there, "the file's header is incomplete"};
            return {};
        }
        const auto checked = std::span<const std::byte>(bytes).first(log_header_bytes - 4);
        if (crc32c(checked) != number_at<std::uint32_t>(bytes, checked.size())) {
            return refuse(0, "is damaged: the file's header has a wrong checksum");
        }
        if (number_at<std::uint32_t>(bytes, 24) != crc32c(std::as_bytes(std::span(node_)))) {
            return refuse(0, "belongs to another node than '" + std::string(node_) + "'");
        }
        result_.salt = number_at<std::uint64_t>(bytes, file_magic.size());
        result_.good_bytes = log_header_bytes;
        return {};
    }

    outcome read_frame() {
        const std::uint64_t start = result_.good_bytes;
        const std::uint64_t left = source_.size() - start;
        if (left < frame_header_bytes) { return tear("a frame's header is incomplete"); }
        std::array<std::byte, frame_header_bytes> head{};
        if (auto done = read(start, head); !done) { return done; }
        const auto header = parse_frame_header(head, result_.salt);
        if (!header) { return tear_unless_followed("a frame's header is damaged", start + 1); }
        if (header->payload_bytes > frame_payload_bytes_max) {
            return refuse(start, "has a frame that is larger than any this program writes");
        }
        const std::uint64_t end = start + frame_header_bytes + header->payload_bytes;
        if (end > source_.size()) { return tear("a frame is incomplete"); }
        payload_.resize(header->payload_bytes);
        if (auto done = read(start + frame_header_bytes, payload_); !done) { return done; }
        if (crc32c(payload_, salted(result_.salt)) != header->payload_crc) {
            return tear_unless_followed("a frame's content is damaged", end);
        }
        if (header->first_sequence != result_.next_sequence) {
            return refuse(start, "continues with record " + std::to_string(header->first_sequence) +
                                     " where " + std::to_string(result_.next_sequence) +
                                     " has to come");
        }
        if (!parse_payload(payload_, header->records, records_)) {
            return refuse(start, "has a frame that this program cannot have written");
        }
        for (const record& found : records_) { apply_(found); }
        result_.records += header->records;
        result_.next_sequence += header->records;
        result_.good_bytes = end;
        return {};
    }

    outcome tear(std::string reason) {
        result_.tail =
            torn_tail{result_.good_bytes, source_.size() - result_.good_bytes, std::move(reason)};
        return {};
    }

    // What is bad may only be the last frame: looks for a whole one from `offset` on.
    outcome tear_unless_followed(std::string reason, std::uint64_t offset) {
        constexpr std::size_t window_bytes = 1024 * 1024;
        std::vector<std::byte> window;
        while (offset + frame_header_bytes <= source_.size()) {
            const auto size = static_cast<std::size_t>(
                std::min<std::uint64_t>(window_bytes, source_.size() - offset));
            window.resize(size);
            if (auto done = read(offset, window); !done) { return done; }
            // A header that is cut by the window's end is whole in the next window.
            const std::size_t starts = size - frame_header_bytes + 1;
            const std::string_view text = text_of(window);
            for (std::size_t at = text.find(frame_magic); at < starts;
                 at = text.find(frame_magic, at + 1)) {
                auto whole = is_whole_frame(std::span(window).subspan(at), offset + at);
                if (!whole) { return std::unexpected(whole.error()); }
                if (!*whole) { continue; }
                return refuse(result_.good_bytes, "is damaged: " + reason +
                                                      ", yet a whole one follows at byte " +
                                                      std::to_string(offset + at));
            }
            offset += starts;
        }
        return tear(std::move(reason));
    }

    std::expected<bool, log_error> is_whole_frame(std::span<const std::byte> head,
                                                  std::uint64_t offset) {
        const auto header = parse_frame_header(head, result_.salt);
        if (!header || header->payload_bytes > frame_payload_bytes_max) { return false; }
        if (header->first_sequence < result_.next_sequence) { return false; }
        const std::uint64_t start = offset + frame_header_bytes;
        if (start + header->payload_bytes > source_.size()) { return false; }
        payload_.resize(header->payload_bytes);
        if (auto done = read(start, payload_); !done) { return std::unexpected(done.error()); }
        return crc32c(payload_, salted(result_.salt)) == header->payload_crc;
    }

    log_source& source_;
    std::string_view node_;
    const std::function<void(const record&)>& apply_;
    recovery result_;
    std::vector<std::byte> payload_;
    std::vector<record> records_;
};

}  // namespace

heph::rt::buffer make_log_header(std::uint64_t salt, std::string_view node) {
    auto out = heph::rt::buffer::with_capacity(log_header_bytes);
    out.append(file_magic);
    append(out, salt);
    append(out, crc32c(std::as_bytes(std::span(node))));
    append(out, crc32c(out.bytes()));
    return out;
}

frame_builder::frame_builder(std::uint64_t salt, std::uint64_t first_sequence)
    : salt_(salt), first_sequence_(first_sequence) {
    // The header is known only at the end; its place is kept.
    const std::array<std::byte, frame_header_bytes> place{};
    bytes_.append(place);
}

bool frame_builder::has_room_for(const record& added) const noexcept {
    return bytes_.size() - frame_header_bytes + size_of(added) <= frame_payload_bytes_max;
}

void frame_builder::add(const record& added) {
    HEPH_ASSERT(has_room_for(added));
    HEPH_ASSERT(added.id.size() <= std::numeric_limits<std::uint16_t>::max());
    HEPH_ASSERT(added.content_type.size() <= std::numeric_limits<std::uint16_t>::max());
    append(bytes_, static_cast<std::uint8_t>(added.kind));
    append(bytes_, static_cast<std::uint16_t>(added.id.size()));
    append(bytes_, static_cast<std::uint16_t>(added.content_type.size()));
    append(bytes_, static_cast<std::uint32_t>(added.body.size()));
    bytes_.append(added.id);
    bytes_.append(added.content_type);
    bytes_.append(added.body);
    ++records_;
}

heph::rt::buffer frame_builder::finish() && {
    const auto payload = std::as_const(bytes_).bytes().subspan(frame_header_bytes);
    auto head = heph::rt::buffer::with_capacity(frame_header_bytes);
    head.append(frame_magic);
    append(head, static_cast<std::uint32_t>(payload.size()));
    append(head, first_sequence_);
    append(head, records_);
    append(head, crc32c(payload, salted(salt_)));
    append(head, crc32c(head.bytes(), salted(salt_)));
    std::ranges::copy(head.bytes(), bytes_.data());
    return std::move(bytes_);
}

std::expected<recovery, log_error> recover(log_source& source, std::string_view node,
                                           const std::function<void(const record&)>& apply) {
    return recovering(source, node, apply).run();
}

}  // namespace notes
