#pragma once

// Reading JSON (RFC 8259) from text that nobody vouches for, straight into values.
//
// Invariants
//     1. Each byte is looked at before it is used, and none beyond the text.
//     2. Memory is taken for one string with escapes, not longer than the text; what a decoder
//        wants to take besides is charged to a budget before it is taken, and what it has at a time
//        is never more than that.
//     3. Once `fail` was called the reader stays failed, with the first error.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/remote/codec/error.hpp>
#include <heph/remote/codec/narrow.hpp>
#include <heph/remote/codec/reader.hpp>

namespace heph::remote {

/// Says why a text is not the message that was expected, and where that was seen.
class json_error {
public:
    json_error(codec_error reason, std::string_view what, std::size_t offset, std::string path)
        : reason_(reason), what_(what), offset_(offset), path_(std::move(path)) {}

    [[nodiscard]] codec_error reason() const noexcept { return reason_; }
    /// Gives the place, in bytes from the begin of the text.
    [[nodiscard]] std::size_t offset() const noexcept { return offset_; }
    /// Gives the way to the value, such as `items[3].count`; empty for the message itself.
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    /// Says it in words: `a number does not fit its field, at byte 17, in items[3].count`.
    [[nodiscard]] std::string message() const;

private:
    codec_error reason_;
    std::string_view what_;
    std::size_t offset_;
    std::string path_;
};

/// Reads values one after the other. Each `read_…` gives false, and keeps why, when the next value
/// is not what was asked for.
///
/// *Lifetime*: the text must outlive it. *Thread safety*: unsafe.
class json_reader {
public:
    enum class kind : std::uint8_t { nothing, null, boolean, number, string, array, object };

    explicit json_reader(std::string_view text, const decode_limits& limits = {}) noexcept
        : text_(text), depth_left_(limits.depth_max), memory_left_(limits.memory_bytes_max) {}

    /// Passes over white space and tells what begins behind it.
    [[nodiscard]] kind next() noexcept;

    /// Takes null, if that is next.
    [[nodiscard]] bool take_null() noexcept { return next() == kind::null && read_word("null"); }
    [[nodiscard]] bool read_null() noexcept;
    [[nodiscard]] bool read_bool(bool& value) noexcept;

    /// Reads an integer that fits `T`, written as a number or as a string of one.
    template <std::integral T>
    [[nodiscard]] bool read_integer(T& value) {
        std::uint64_t bits = 0;
        bool is_negative = false;
        const std::size_t begin = begin_of_next();
        if (!read_any_integer(bits, is_negative)) { return false; }
        return narrow(bits, is_negative, value) || fail_at(begin, codec_error::out_of_range);
    }
    /// Reads a number, or one of the strings `NaN`, `Infinity` and `-Infinity`.
    [[nodiscard]] bool read_float(float& value);
    [[nodiscard]] bool read_double(double& value);
    /// Reads a number as it is written. *Lifetime*: the text's.
    [[nodiscard]] bool read_number(std::string_view& digits) noexcept;

    /// Reads a string. *Lifetime*: of what is given, until the next string or name is read.
    [[nodiscard]] bool read_text(std::string_view& value);
    [[nodiscard]] bool read_string(std::string& value);
    /// Reads bytes in base64.
    [[nodiscard]] bool read_bytes(std::vector<std::byte>& value);

    /// Enters an array, and tells whether it has an element. That is to be read or skipped, and
    /// `next_element` to be called, until there is none; then the array is left.
    [[nodiscard]] bool enter_array(bool& more) noexcept { return enter(kind::array, more); }
    [[nodiscard]] bool next_element(bool& more) noexcept { return advance(']', more); }
    /// Enters an object in the same way; `read_name` comes before each value.
    [[nodiscard]] bool enter_object(bool& more) noexcept { return enter(kind::object, more); }
    [[nodiscard]] bool next_member(bool& more) noexcept { return advance('}', more); }
    /// Reads a member's name and the colon. *Lifetime*: as of `read_text`.
    [[nodiscard]] bool read_name(std::string_view& name);

    /// Passes over one value, whatever it is; it has to be well-formed.
    [[nodiscard]] bool skip();
    /// Checks that nothing but white space is left.
    [[nodiscard]] bool finish() noexcept;

    /// Asks to take memory for `count` things of `bytes` each.
    [[nodiscard]] bool charge(std::size_t count, std::size_t bytes) noexcept {
        if (bytes != 0 && count > memory_left_ / bytes) { return fail(codec_error::too_large); }
        memory_left_ -= count * bytes;
        return true;
    }
    /// Gives back what was charged for memory that is free again, such as that from which a vector
    /// was moved on when it grew.
    void give_back(std::size_t count, std::size_t bytes) noexcept { memory_left_ += count * bytes; }

    /// Keeps the first error, with the place that was reached, and gives false to return. `what`
    /// says it in words, for as long as the program runs.
    bool fail(codec_error why, std::string_view what = {}) noexcept {
        return fail_at(at_, why, what);
    }
    bool fail_at(std::size_t offset, codec_error why, std::string_view what = {}) noexcept;
    /// Adds where the error was, from the inside to the outside; gives false to return.
    bool failed_in_member(std::string_view name);
    bool failed_in_key(std::string_view key);
    bool failed_in_element(std::size_t index);
    /// Gives the error. *Requires*: it failed.
    [[nodiscard]] json_error error() const;

    /// Gives where the next value begins.
    [[nodiscard]] std::size_t begin_of_next() noexcept {
        skip_space();
        return at_;
    }

    /// Reads a value by its type's codec; defined in codec/json.hpp.
    template <typename T>
    [[nodiscard]] bool value(T& into);

private:
    void skip_space() noexcept;
    bool expect(kind wanted) noexcept;
    bool read_word(std::string_view word) noexcept;
    bool read_any_integer(std::uint64_t& bits, bool& is_negative);
    bool pass_character() noexcept;
    bool read_escaped(std::size_t begin, std::string_view& value);
    bool read_escape();
    bool read_code_point();
    bool read_unit(std::uint32_t& unit) noexcept;
    bool enter(kind what, bool& more) noexcept;
    bool advance(char close, bool& more) noexcept;
    template <typename T>
    bool read_floating(T& value);

    std::string_view text_;
    std::size_t at_ = 0;
    std::uint32_t depth_left_;
    std::size_t memory_left_;
    std::string unescaped_;

    bool failed_ = false;
    codec_error error_ = codec_error::malformed;
    std::string_view what_;
    std::size_t failed_at_ = 0;
    std::vector<std::string> path_;  // From the inside to the outside.
};

}  // namespace heph::remote
