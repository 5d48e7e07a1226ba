#pragma once

// Writing JSON (RFC 8259), without white space.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace heph::remote {

/// Appends values to a string.
///
/// *Errors*: throws `std::bad_alloc`. *Lifetime*: the string's.
class json_writer {
public:
    explicit json_writer(std::string& out) noexcept : out_(&out) {}

    void null() { word("null"); }
    void boolean(bool value) { word(value ? "true" : "false"); }
    /// Writes an integer as a number; as a string when a reader whose numbers are doubles would
    /// lose digits (RFC 7493, section 2.2).
    template <std::integral T>
    void integer(T value) {
        if constexpr (std::is_signed_v<T>) {
            signed_integer(value);
        } else {
            unsigned_integer(value);
        }
    }
    /// Writes the shortest number that comes back as it was, or a string for what is none.
    void floating(float value);
    void floating(double value);
    /// Writes a string; bytes that are not UTF-8 become U+FFFD.
    void text(std::string_view value);
    /// Writes bytes in base64.
    void bytes(std::span<const std::byte> value);

    void begin_array() { begin('['); }
    void end_array() { end(']'); }
    void begin_object() { begin('{'); }
    /// Writes the name of the member whose value follows.
    void name(std::string_view name);
    void end_object() { end('}'); }

    /// Writes a value by its type's codec; defined in codec/json.hpp.
    template <typename T>
    void value(const T& from);

private:
    void separate() {
        if (needs_comma_) { out_->push_back(','); }
        needs_comma_ = true;
    }
    void word(std::string_view what) {
        separate();
        out_->append(what);
    }
    void begin(char open) {
        separate();
        out_->push_back(open);
        needs_comma_ = false;
    }
    void end(char close) {
        out_->push_back(close);
        needs_comma_ = true;
    }
    void signed_integer(std::int64_t value);
    void unsigned_integer(std::uint64_t value);

    std::string* out_;
    bool needs_comma_ = false;
};

namespace detail {

/// Appends a string with quotes and escapes; bytes that are not UTF-8 become U+FFFD.
void append_json_text(std::string& to, std::string_view text);

}  // namespace detail

}  // namespace heph::remote
