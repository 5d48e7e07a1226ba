#pragma once

// The format of trace files: writes and reads bytes, and knows no file.
// heph-rt/docs/trace-format.md specifies it; it is that of Rust's heph, version 0.1.0, whose tools
// read these files, too.

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace heph::rt {

/// What is known of an event besides: a name and a value. It borrows both.
class trace_attribute {
public:
    using value_type = std::variant<std::uint64_t, std::int64_t, double, std::string_view,
                                    std::span<const std::uint64_t>, std::span<const std::int64_t>,
                                    std::span<const double>, std::span<const std::string_view>>;

    template <std::integral T>
    trace_attribute(std::string_view name, T value) noexcept : name_(name), value_(widen(value)) {}
    template <std::floating_point T>
    trace_attribute(std::string_view name, T value) noexcept
        : name_(name), value_(static_cast<double>(value)) {}
    template <std::convertible_to<std::string_view> T>
    trace_attribute(std::string_view name, const T& value) noexcept
        : name_(name), value_(std::string_view(value)) {}
    trace_attribute(std::string_view name, std::span<const std::uint64_t> values) noexcept
        : name_(name), value_(values) {}
    trace_attribute(std::string_view name, std::span<const std::int64_t> values) noexcept
        : name_(name), value_(values) {}
    trace_attribute(std::string_view name, std::span<const double> values) noexcept
        : name_(name), value_(values) {}
    trace_attribute(std::string_view name, std::span<const std::string_view> values) noexcept
        : name_(name), value_(values) {}

    [[nodiscard]] std::string_view name() const noexcept { return name_; }
    [[nodiscard]] const value_type& value() const noexcept { return value_; }

private:
    template <std::integral T>
    static value_type widen(T value) noexcept {
        if constexpr (std::is_signed_v<T>) {
            return value_type(std::in_place_type<std::int64_t>, value);
        } else {
            return value_type(std::in_place_type<std::uint64_t>, value);
        }
    }

    std::string_view name_;
    value_type value_;
};

/// Where an event belongs, and when it was.
struct trace_place {
    std::uint32_t stream = 0;          ///< Which thread: 0 the coordinator, n + 1 worker n.
    std::uint32_t counter = 0;         ///< Which event of the stream; goes from 2^32 - 1 to 0.
    std::uint64_t substream = 0;       ///< Which actor on it; 0 for the runtime itself.
    std::chrono::nanoseconds start{};  ///< Since the trace's epoch.
    std::chrono::nanoseconds end{};
};

/// Appends a packet that says when the trace's epoch was, in time since 1970.
void append_trace_epoch(std::string& out, std::chrono::nanoseconds since_1970);

/// Appends an event. Texts longer than 65,535 bytes are cut there, before a character; in texts
/// that are not UTF-8, bytes beyond ASCII become question marks; of attributes and elements of
/// arrays beyond 65,535 bytes in all, the rest is left out.
void append_trace_event(std::string& out, const trace_place& place, std::string_view description,
                        std::span<const trace_attribute> attributes);

/// What a trace says, as its reader gives it.
struct trace_event {
    using value_type =
        std::variant<std::uint64_t, std::int64_t, double, std::string, std::vector<std::uint64_t>,
                     std::vector<std::int64_t>, std::vector<double>, std::vector<std::string>>;

    trace_place place;
    std::string description;
    std::vector<std::pair<std::string, value_type>> attributes;
};

/// Sets an option of the whole trace.
struct trace_option {
    std::string name;
    std::string value;  ///< Its bytes; what they mean depends on the option.

    /// Gives the epoch, in time since 1970, if that is what it sets.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> epoch() const noexcept;
};

using trace_packet = std::variant<trace_option, trace_event>;

/// Says what is wrong with a trace.
enum class trace_errc {
    bad_magic = 1,  ///< Neither an event nor an option begins here.
    bad_size,       ///< A packet's size is less than its fields take, or more than they do.
    too_large,      ///< A packet is larger than the reader was told to take.
    bad_value,      ///< An attribute's type is unknown.
    bad_text,       ///< A text is not UTF-8.
    bad_time,       ///< An event ends before it starts, or after the year 2262.
};

/// Gives the category of `trace_errc`, named "heph.rt.trace".
[[nodiscard]] const std::error_category& trace_category() noexcept;
[[nodiscard]] std::error_code make_error_code(trace_errc error) noexcept;

/// Reads a trace piece by piece. Memory is bounded by the pieces and by the largest packet.
///
/// *Thread safety*: unsafe.
class trace_reader {
public:
    static constexpr std::size_t default_packet_bytes_max = std::size_t{1} << 20U;

    explicit trace_reader(std::size_t packet_bytes_max = default_packet_bytes_max)
        : packet_bytes_max_(packet_bytes_max) {}

    /// Takes the next bytes of the trace.
    void feed(std::string_view bytes);

    /// Gives the next packet; nothing when more bytes are needed for it.
    /// *Errors*: a `trace_errc`. There is no next packet after that.
    [[nodiscard]] std::expected<std::optional<trace_packet>, std::error_code> next();

    /// Tells how many bytes of an unfinished packet there are: 0 at the end of a whole trace.
    [[nodiscard]] std::size_t unread_bytes() const noexcept { return bytes_.size() - read_; }
    /// Tells where in the trace the next packet begins, or the one that is wrong.
    [[nodiscard]] std::uint64_t position() const noexcept { return position_; }

private:
    std::size_t packet_bytes_max_;
    std::string bytes_;
    std::size_t read_ = 0;
    std::uint64_t position_ = 0;
    std::error_code failed_;
};

}  // namespace heph::rt

template <>
struct std::is_error_code_enum<heph::rt::trace_errc> : std::true_type {};
