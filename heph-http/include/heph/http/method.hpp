#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heph::http {

/// Names a request method: those of RFC 9110, PATCH, and those of WebDAV and its kin. One that is
/// none of these is an `extension`, whose name the request has (`request::method_name`); unless it
/// is routed, it is answered with 501.
enum class method : std::uint8_t {
    get,
    head,
    post,
    put,
    delete_,
    connect,
    options,
    trace,
    patch,
    acl,
    bind,
    checkout,
    copy,
    link,
    lock,
    merge,
    mkactivity,
    mkcalendar,
    mkcol,
    move,
    propfind,
    proppatch,
    rebind,
    report,
    search,
    unbind,
    unlink,
    unlock,
    extension,
};

/// Tells how many methods have a value of their own: from 0 to one less.
inline constexpr std::size_t method_count = static_cast<std::size_t>(method::extension);

/// The longest name of an extension method.
inline constexpr std::size_t method_bytes_max = 64;

/// Gives the method as it stands in a request line, `GET` for one; `extension` for those without a
/// value of their own.
[[nodiscard]] std::string_view to_string(method value) noexcept;

/// Reads a method; case matters. Gives nothing for one without a value of its own.
[[nodiscard]] std::optional<method> parse_method(std::string_view text) noexcept;

/// A set of methods, such as those that a path allows.
class method_set {
public:
    constexpr method_set() noexcept = default;

    constexpr void add(method value) noexcept { bits_ |= bit(value); }
    [[nodiscard]] constexpr bool contains(method value) const noexcept {
        return (bits_ & bit(value)) != 0;
    }
    [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }
    constexpr method_set& operator|=(method_set other) noexcept {
        bits_ |= other.bits_;
        return *this;
    }
    bool operator==(const method_set&) const noexcept = default;

private:
    static constexpr std::uint32_t bit(method value) noexcept {
        return std::uint32_t{1} << static_cast<unsigned>(value);
    }

    std::uint32_t bits_ = 0;
};
static_assert(method_count < 32);

/// A set of methods that have no value of their own, by their names, such as `BREW`.
class extension_methods {
public:
    /// Adds a name, once.
    /// *Errors*: throws `std::invalid_argument` for what is no token (RFC 9110, 9.1), is longer
    /// than `method_bytes_max`, or has a value of `method`.
    void add(std::string_view name);
    [[nodiscard]] bool contains(std::string_view name) const noexcept;
    /// Gives them in their alphabetical order.
    [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }

private:
    std::vector<std::string> names_;
};

}  // namespace heph::http
