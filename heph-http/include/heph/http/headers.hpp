#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <iterator>
#include <optional>
#include <string_view>

#include <heph/http/detail/inline_vector.hpp>
#include <heph/http/error.hpp>

namespace heph::http {

namespace h1 {
class chunked_decoder;
class head_lines;
class head_reader;
class field_reader;
class request_parser;
class response_parser;
}  // namespace h1

/// One header field, as views into the `headers` it belongs to.
struct header {
    std::string_view name;
    std::string_view value;
};

/// Compares two field names or tokens without regard to (ASCII) case.
[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// Tells whether `text` may be a field name or another token (RFC 9110, 5.6.2).
[[nodiscard]] bool is_token(std::string_view text) noexcept;

/// Tells whether `text` may be a field value: no control characters but the tab, and no white space
/// around it (RFC 9110, 5.5).
[[nodiscard]] bool is_field_value(std::string_view text) noexcept;

/// Holds header fields in the order they came in; names are found without regard to case.
///
/// All text lies in one piece of memory, the first 256 bytes and eight fields of it within the
/// object. `clear()` keeps what was allocated.
///
/// *Thread safety*: distinct objects: safe. Shared objects: only reading is.
/// *Lifetime*: the views it gives are valid until it is changed.
class headers {
public:
    class const_iterator;

    [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
    [[nodiscard]] bool empty() const noexcept { return fields_.empty(); }

    /// Gives a field by position. *Requires*: `index < size()`.
    [[nodiscard]] header operator[](std::size_t index) const noexcept;

    [[nodiscard]] const_iterator begin() const noexcept;
    [[nodiscard]] const_iterator end() const noexcept;

    /// Gives the value of the first field of this name.
    [[nodiscard]] std::optional<std::string_view> get(std::string_view name) const noexcept;

    /// Tells whether there is a field of this name.
    [[nodiscard]] bool contains(std::string_view name) const noexcept;

    /// Counts the fields of this name.
    [[nodiscard]] std::size_t count(std::string_view name) const noexcept;

    /// Tells whether a list such as `Connection: close, te`, over all fields of this name, has this
    /// element; case is ignored.
    [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const noexcept;

    /// Adds a field behind the others. What is stored is not checked here: the response writer
    /// refuses a name or a value that would break the message's framing. Both may be views into
    /// this object.
    void append(std::string_view name, std::string_view value);

    /// Replaces all fields of this name by one. Both may be views into this object.
    void set(std::string_view name, std::string_view value);

    /// Removes all fields of this name and tells how many there were. Their text's memory is
    /// reused after `clear()` only.
    std::size_t remove(std::string_view name) noexcept;

    /// Removes all fields; keeps the memory.
    void clear() noexcept;

private:
    friend class h1::chunked_decoder;
    friend class h1::head_lines;
    friend class h1::head_reader;
    friend class h1::field_reader;
    friend class h1::request_parser;
    friend class h1::response_parser;
    friend class request_head;
    friend class response_head;

    struct field {
        std::uint32_t name_at;
        std::uint32_t name_size;
        std::uint32_t value_at;
        std::uint32_t value_size;
    };

    [[nodiscard]] std::string_view text(std::uint32_t at, std::uint32_t size) const noexcept {
        return {text_.data() + at, size};
    }
    std::uint32_t store(std::string_view text);
    [[nodiscard]] bool is_ours(std::string_view text) const noexcept;

    detail::inline_vector<char, 256> text_;
    detail::inline_vector<field, 8> fields_;
};

/// Goes through `headers` in order.
class headers::const_iterator {
public:
    using value_type = header;
    using difference_type = std::ptrdiff_t;

    const_iterator() noexcept = default;
    const_iterator(const headers& owner, std::size_t index) noexcept
        : owner_(&owner), index_(index) {}

    header operator*() const noexcept { return (*owner_)[index_]; }
    const_iterator& operator++() noexcept {
        ++index_;
        return *this;
    }
    const_iterator operator++(int) noexcept {
        const_iterator old = *this;
        ++index_;
        return old;
    }
    bool operator==(const const_iterator&) const noexcept = default;

private:
    const headers* owner_ = nullptr;
    std::size_t index_ = 0;
};

inline headers::const_iterator headers::begin() const noexcept { return {*this, 0}; }
inline headers::const_iterator headers::end() const noexcept { return {*this, size()}; }

}  // namespace heph::http
