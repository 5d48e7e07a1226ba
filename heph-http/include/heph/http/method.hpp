#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace heph::http {

/// Names a request method: those of RFC 9110, PATCH, and those of WebDAV and its kin that the
/// parser knows. A method that is none of these is answered with 501.
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
};

/// Tells how many methods there are; their values are 0 to one less.
inline constexpr std::size_t method_count = static_cast<std::size_t>(method::unlock) + 1;

/// Gives the method as it stands in a request line, `GET` for one.
[[nodiscard]] std::string_view to_string(method value) noexcept;

/// Reads a method; case matters. Gives nothing for one that is not known.
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
static_assert(method_count <= 32);

}  // namespace heph::http
