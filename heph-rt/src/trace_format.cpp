#include <heph/rt/trace_format.hpp>

#include <algorithm>
#include <bit>
#include <limits>

namespace heph::rt {

namespace {

constexpr std::uint32_t option_magic = 0x75D1'1D4D;
constexpr std::uint32_t event_magic = 0xC1FC'1FB7;
constexpr std::size_t packet_head_bytes = 8;  // Magic and size.
constexpr std::size_t text_bytes_max = std::numeric_limits<std::uint16_t>::max();
constexpr std::size_t attributes_bytes_max = 65'535;

constexpr std::uint8_t unsigned_type = 1;
constexpr std::uint8_t signed_type = 2;
constexpr std::uint8_t float_type = 3;
constexpr std::uint8_t text_type = 4;
constexpr std::uint8_t array_type = 0x80;

// ---- Texts ----

// RFC 3629, section 4.
bool is_utf8(std::string_view text) noexcept {
    const auto at = [&text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    for (std::size_t i = 0; i < text.size();) {
        const unsigned first = at(i);
        if (first < 0x80) {
            ++i;
            continue;
        }
        const std::size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                                   : first >= 0xE0 && first <= 0xEF ? 3
                                   : first >= 0xF0 && first <= 0xF4 ? 4
                                                                    : 0;
        if (length == 0 || text.size() - i < length) { return false; }
        // Too long for what they say, surrogates, and what is beyond Unicode.
        const unsigned least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
        const unsigned most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
        if (at(i + 1) < least || at(i + 1) > most) { return false; }
        for (std::size_t k = 2; k < length; ++k) {
            if ((at(i + k) & 0xC0U) != 0x80U) { return false; }
        }
        i += length;
    }
    return true;
}

// ---- Writing ----

template <std::unsigned_integral T>
void put(std::string& out, T value) {
    for (std::size_t i = sizeof(T); i-- > 0;) {
        out.push_back(static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i))));
    }
}

// What of a text fits, without half a character at its end.
std::string_view fitting(std::string_view text) noexcept {
    if (text.size() <= text_bytes_max) { return text; }
    std::size_t end = text_bytes_max;
    while (end > text_bytes_max - 4 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
        --end;
    }
    return text.substr(0, end);
}

void put_value(std::string& out, std::uint64_t value) { put(out, value); }
void put_value(std::string& out, std::int64_t value) {
    put(out, static_cast<std::uint64_t>(value));
}
void put_value(std::string& out, double value) { put(out, std::bit_cast<std::uint64_t>(value)); }
// A name may be any bytes, but no reader takes what is not UTF-8.
void put_value(std::string& out, std::string_view text) {
    text = fitting(text);
    put(out, static_cast<std::uint16_t>(text.size()));
    const std::size_t begin = out.size();
    out.append(text);
    if (is_utf8(text)) [[likely]] { return; }
    for (std::size_t i = begin; i < out.size(); ++i) {
        if (static_cast<unsigned char>(out[i]) >= 0x80U) { out[i] = '?'; }
    }
}

template <typename T>
constexpr std::uint8_t type_of = 0;
template <>
constexpr std::uint8_t type_of<std::uint64_t> = unsigned_type;
template <>
constexpr std::uint8_t type_of<std::int64_t> = signed_type;
template <>
constexpr std::uint8_t type_of<double> = float_type;
template <>
constexpr std::uint8_t type_of<std::string_view> = text_type;

template <typename T>
void put_typed(std::string& out, const T& value, std::size_t /*end*/) {
    put(out, type_of<T>);
    put_value(out, value);
}
// Up to where the packet may end.
template <typename T>
void put_typed(std::string& out, std::span<const T> values, std::size_t end) {
    put(out, static_cast<std::uint8_t>(type_of<T> | array_type));
    const std::size_t length_at = out.size();
    put(out, std::uint16_t{0});
    std::uint16_t count = 0;
    for (const T& value : values) {
        const std::size_t before = out.size();
        if (count == text_bytes_max) { break; }
        put_value(out, value);
        if (out.size() > end) {
            out.resize(before);
            break;
        }
        ++count;
    }
    out[length_at] = static_cast<char>(count >> 8U);
    out[length_at + 1] = static_cast<char>(count & 0xFFU);
}

// Puts the size of the packet that began there.
void close_packet(std::string& out, std::size_t begin) {
    const auto size = static_cast<std::uint32_t>(out.size() - begin);
    for (std::size_t i = 0; i < 4; ++i) {
        out[begin + 4 + i] = static_cast<char>(static_cast<std::uint8_t>(size >> (8 * (3 - i))));
    }
}

// ---- Reading ----

// Takes fields off the front of a packet; once one is not there, none is.
class field_reader {
public:
    explicit field_reader(std::string_view bytes) noexcept : rest_(bytes) {}

    template <std::unsigned_integral T>
    T take() noexcept {
        const std::string_view bytes = take_bytes(sizeof(T));
        T value = 0;
        for (const char each : bytes) {
            value = static_cast<T>((static_cast<std::uint64_t>(value) << 8U) |
                                   static_cast<unsigned char>(each));
        }
        return value;
    }

    std::string_view take_bytes(std::size_t count) noexcept {
        if (count > rest_.size()) {
            rest_ = {};
            short_ = true;
        }
        if (short_) { return {}; }
        const std::string_view taken = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return taken;
    }

    std::string_view take_text() noexcept;

    [[nodiscard]] std::size_t left() const noexcept { return rest_.size(); }
    [[nodiscard]] std::string_view rest() const noexcept { return rest_; }
    [[nodiscard]] bool is_short() const noexcept { return short_; }
    [[nodiscard]] bool has_bad_text() const noexcept { return bad_text_; }

private:
    std::string_view rest_;
    bool short_ = false;
    bool bad_text_ = false;
};

std::string_view field_reader::take_text() noexcept {
    const std::string_view text = take_bytes(take<std::uint16_t>());
    if (!is_utf8(text)) { bad_text_ = true; }
    return text;
}

template <typename T>
T take_value(field_reader& fields) {
    if constexpr (std::same_as<T, std::string>) {
        return T(fields.take_text());
    } else {
        return std::bit_cast<T>(fields.take<std::uint64_t>());
    }
}

template <typename T>
trace_event::value_type take_typed(field_reader& fields, bool is_array) {
    if (!is_array) { return take_value<T>(fields); }
    const std::size_t count = fields.take<std::uint16_t>();
    // Memory is for what is there, not for what is said to be.
    constexpr std::size_t least = std::same_as<T, std::string> ? 2 : 8;
    std::vector<T> values;
    values.reserve(std::min(count, fields.left() / least));
    for (std::size_t i = 0; i < count && !fields.is_short(); ++i) {
        values.push_back(take_value<T>(fields));
    }
    return values;
}

std::expected<trace_event::value_type, trace_errc> take_attribute(field_reader& fields) {
    const auto type = fields.take<std::uint8_t>();
    const bool is_array = (type & array_type) != 0;
    switch (type & ~array_type) {
        case unsigned_type: return take_typed<std::uint64_t>(fields, is_array);
        case signed_type: return take_typed<std::int64_t>(fields, is_array);
        case float_type: return take_typed<double>(fields, is_array);
        case text_type: return take_typed<std::string>(fields, is_array);
        default:
            return std::unexpected(fields.is_short() ? trace_errc::bad_size
                                                     : trace_errc::bad_value);
    }
}

std::expected<trace_packet, trace_errc> read_option(field_reader fields) {
    trace_option option;
    option.name = fields.take_text();
    if (fields.is_short()) { return std::unexpected(trace_errc::bad_size); }
    if (fields.has_bad_text()) { return std::unexpected(trace_errc::bad_text); }
    option.value = fields.rest();
    if (option.name == "epoch" && option.value.size() != 8) {
        return std::unexpected(trace_errc::bad_size);
    }
    return option;
}

std::expected<trace_packet, trace_errc> read_event(field_reader fields) {
    constexpr auto latest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    trace_event event;
    event.place.stream = fields.take<std::uint32_t>();
    event.place.counter = fields.take<std::uint32_t>();
    event.place.substream = fields.take<std::uint64_t>();
    const auto start = fields.take<std::uint64_t>();
    const auto end = fields.take<std::uint64_t>();
    event.description = fields.take_text();
    if (fields.is_short()) { return std::unexpected(trace_errc::bad_size); }
    if (end < start || end > latest) { return std::unexpected(trace_errc::bad_time); }
    event.place.start = std::chrono::nanoseconds(static_cast<std::int64_t>(start));
    event.place.end = std::chrono::nanoseconds(static_cast<std::int64_t>(end));
    while (fields.left() != 0) {
        std::string name(fields.take_text());
        auto value = take_attribute(fields);
        if (!value) { return std::unexpected(value.error()); }
        if (fields.is_short()) { return std::unexpected(trace_errc::bad_size); }
        event.attributes.emplace_back(std::move(name), std::move(*value));
    }
    if (fields.is_short()) { return std::unexpected(trace_errc::bad_size); }
    if (fields.has_bad_text()) { return std::unexpected(trace_errc::bad_text); }
    return event;
}

class trace_category_type final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "heph.rt.trace"; }
    [[nodiscard]] std::string message(int code) const override {
        switch (static_cast<trace_errc>(code)) {
            case trace_errc::bad_magic: return "this is no trace, or a part of it is missing";
            case trace_errc::bad_size: return "a packet's size does not fit what is in it";
            case trace_errc::too_large: return "a packet is larger than what is taken";
            case trace_errc::bad_value: return "an attribute has an unknown type";
            case trace_errc::bad_text: return "a text is not UTF-8";
            case trace_errc::bad_time: return "an event ends before it starts";
        }
        return "unknown error";
    }
};

}  // namespace

void append_trace_epoch(std::string& out, std::chrono::nanoseconds since_1970) {
    const std::size_t begin = out.size();
    put(out, option_magic);
    put(out, std::uint32_t{0});
    put_value(out, std::string_view("epoch"));
    put_value(out, static_cast<std::int64_t>(since_1970.count()));
    close_packet(out, begin);
}

void append_trace_event(std::string& out, const trace_place& place, std::string_view description,
                        std::span<const trace_attribute> attributes) {
    const std::size_t begin = out.size();
    put(out, event_magic);
    put(out, std::uint32_t{0});
    put(out, place.stream);
    put(out, place.counter);
    put(out, place.substream);
    put_value(out, static_cast<std::int64_t>(place.start.count()));
    put_value(out, static_cast<std::int64_t>(place.end.count()));
    put_value(out, description);
    const std::size_t end = out.size() + attributes_bytes_max;
    for (const trace_attribute& each : attributes) {
        const std::size_t before = out.size();
        put_value(out, each.name());
        std::visit([&](const auto& value) { put_typed(out, value, end); }, each.value());
        if (out.size() > end) {
            out.resize(before);
            break;
        }
    }
    close_packet(out, begin);
}

std::optional<std::chrono::nanoseconds> trace_option::epoch() const noexcept {
    if (name != "epoch" || value.size() != 8) { return std::nullopt; }
    const auto since = field_reader(value).take<std::uint64_t>();
    constexpr auto latest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(since, latest)));
}

const std::error_category& trace_category() noexcept {
    static const trace_category_type category;
    return category;
}

std::error_code make_error_code(trace_errc error) noexcept {
    return {static_cast<int>(error), trace_category()};
}

void trace_reader::feed(std::string_view bytes) {
    if (failed_) { return; }
    bytes_.erase(0, std::exchange(read_, 0));
    bytes_.append(bytes);
}

std::expected<std::optional<trace_packet>, std::error_code> trace_reader::next() {
    const auto fail = [this](trace_errc why) {
        failed_ = why;
        return std::unexpected(failed_);
    };
    if (failed_) { return std::unexpected(failed_); }
    const std::string_view unread = std::string_view(bytes_).substr(read_);
    field_reader head(unread);
    if (unread.size() >= 4) {
        const auto magic = head.take<std::uint32_t>();
        if (magic != option_magic && magic != event_magic) { return fail(trace_errc::bad_magic); }
    }
    if (unread.size() < packet_head_bytes) { return std::nullopt; }
    const std::size_t size = head.take<std::uint32_t>();
    if (size < packet_head_bytes) { return fail(trace_errc::bad_size); }
    if (size > packet_bytes_max_) { return fail(trace_errc::too_large); }
    if (unread.size() < size) { return std::nullopt; }
    const field_reader fields(unread.substr(packet_head_bytes, size - packet_head_bytes));
    const bool is_event = field_reader(unread).take<std::uint32_t>() == event_magic;
    auto packet = is_event ? read_event(fields) : read_option(fields);
    if (!packet) { return fail(packet.error()); }
    read_ += size;
    position_ += size;
    return std::optional(std::move(*packet));
}

}  // namespace heph::rt
