#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/http/detail/inline_vector.hpp>
#include <heph/http/error.hpp>
#include <heph/http/field_value.hpp>

namespace heph::http {

namespace h1 {
class chunked_decoder;
class head_lines;
class head_reader;
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
    template <typename Cursor>
    class text_range;
    class value_cursor;
    class element_cursor;

    [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
    [[nodiscard]] bool empty() const noexcept { return fields_.empty(); }

    /// Gives a field by position. *Requires*: `index < size()`.
    [[nodiscard]] header operator[](std::size_t index) const noexcept {
        const field& found = fields_[index];
        return {text(found.name_at, found.name_size), text(found.value_at, found.value_size)};
    }

    [[nodiscard]] const_iterator begin() const noexcept;
    [[nodiscard]] const_iterator end() const noexcept;

    /// Gives the value of the first field of this name.
    [[nodiscard]] std::optional<std::string_view> get(std::string_view name) const noexcept;

    /// Gives the value of the only field of this name as a `T`: a number, a date
    /// (`std::chrono::sys_seconds`), a time (`std::chrono::seconds`), an `entity_tag`, text; see
    /// `field_value` for others. *Errors*: `field_error`.
    template <field_readable T>
    [[nodiscard]] std::expected<T, field_error> get_as(std::string_view name) const {
        const auto text = get_only(name);
        if (!text) { return std::unexpected(text.error()); }
        return field_value<T>::parse(*text);
    }

    /// Gives the elements of a comma-separated list, over all fields of this name, each as a `T`.
    /// *Errors*: `missing` when there is no such field; the first one of an element.
    template <field_readable T>
    [[nodiscard]] std::expected<std::vector<T>, field_error> get_list_as(
        std::string_view name) const;

    /// Goes through the values of all fields of this name, in order:
    /// `for (std::string_view line : headers.values(field_name::set_cookie))`.
    /// *Lifetime*: `name` has to live as long as the range.
    [[nodiscard]] text_range<value_cursor> values(std::string_view name) const noexcept;

    /// Goes through the elements of a comma-separated list, over all fields of this name (RFC 9110,
    /// 5.6.1): without blanks around them, and without empty ones. A comma within a quoted string
    /// separates nothing. *Lifetime*: as `values`.
    [[nodiscard]] text_range<element_cursor> elements(std::string_view name) const noexcept;

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
    [[nodiscard]] std::expected<std::string_view, field_error> get_only(
        std::string_view name) const noexcept;
    // Gives the position of the next field of this name, from one on; `size()` when there is none.
    [[nodiscard]] std::size_t find_from(std::size_t index, std::string_view name) const noexcept;
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

/// Goes from one field's value to the next one of the same name.
class headers::value_cursor {
public:
    value_cursor(const headers& owner, std::string_view name) noexcept
        : owner_(&owner), name_(name) {}
    /// Gives the next text, or nothing.
    [[nodiscard]] std::optional<std::string_view> next() noexcept {
        at_ = owner_->find_from(at_, name_);
        if (at_ == owner_->size()) { return std::nullopt; }
        return (*owner_)[at_++].value;
    }

private:
    const headers* owner_;
    std::string_view name_;
    std::size_t at_ = 0;
};

/// Goes from one element of a list to the next.
class headers::element_cursor {
public:
    element_cursor(const headers& owner, std::string_view name) noexcept : lines_(owner, name) {}
    /// Gives the next text, or nothing.
    [[nodiscard]] std::optional<std::string_view> next() noexcept;

private:
    value_cursor lines_;
    std::string_view rest_;
};

/// A range of texts within headers; it can be gone through once. *Lifetime*: until these are
/// changed.
template <typename Cursor>
class headers::text_range {
public:
    class iterator {
    public:
        using value_type = std::string_view;
        using difference_type = std::ptrdiff_t;

        explicit iterator(Cursor& cursor) noexcept : cursor_(&cursor), text_(cursor.next()) {}
        std::string_view operator*() const noexcept { return *text_; }
        iterator& operator++() noexcept {
            text_ = cursor_->next();
            return *this;
        }
        void operator++(int) noexcept { ++*this; }
        bool operator==(std::default_sentinel_t /*end*/) const noexcept { return !text_; }

    private:
        Cursor* cursor_;
        std::optional<std::string_view> text_;
    };

    text_range(const headers& owner, std::string_view name) noexcept : cursor_(owner, name) {}
    [[nodiscard]] iterator begin() noexcept { return iterator(cursor_); }
    [[nodiscard]] static std::default_sentinel_t end() noexcept { return {}; }

private:
    Cursor cursor_;
};

inline headers::text_range<headers::value_cursor> headers::values(
    std::string_view name) const noexcept {
    return {*this, name};
}
inline headers::text_range<headers::element_cursor> headers::elements(
    std::string_view name) const noexcept {
    return {*this, name};
}

template <field_readable T>
std::expected<std::vector<T>, field_error> headers::get_list_as(std::string_view name) const {
    if (!contains(name)) { return std::unexpected(field_error::missing); }
    std::vector<T> all;
    for (const std::string_view element : elements(name)) {
        auto one = field_value<T>::parse(element);
        if (!one) { return std::unexpected(one.error()); }
        all.push_back(*std::move(one));
    }
    return all;
}

inline headers::const_iterator headers::begin() const noexcept { return {*this, 0}; }
inline headers::const_iterator headers::end() const noexcept { return {*this, size()}; }

}  // namespace heph::http
