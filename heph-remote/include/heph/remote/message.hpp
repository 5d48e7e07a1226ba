#pragma once

// Describing a struct so that it can travel between nodes.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <utility>

namespace heph::remote {

/// Holds what `HEPH_MESSAGE` says of a struct.
template <typename... Members>
struct message_description {
    constexpr message_description(std::string_view stable_name, std::uint32_t its_version,
                                  std::tuple<Members...> its_members,
                                  std::string_view listed = {}) noexcept
        : name(stable_name), version(its_version), members(its_members) {
        for (auto& each : member_names) {
            const std::size_t comma = std::min(listed.find(','), listed.size());
            each = trimmed(listed.substr(0, comma));
            listed.remove_prefix(std::min(comma + 1, listed.size()));
        }
    }

    std::string_view name;
    std::uint32_t version;
    std::tuple<Members...> members;  ///< Pointers to members, in the order on the wire.
    std::array<std::string_view, sizeof...(Members)> member_names;  ///< In the same order.

private:
    static constexpr std::string_view trimmed(std::string_view word) noexcept {
        while (word.starts_with(' ')) { word.remove_prefix(1); }
        while (word.ends_with(' ')) { word.remove_suffix(1); }
        return word;
    }
};

/// Makes a description; `listed` has the names of the members, separated by commas.
template <typename... Members>
constexpr message_description<Members...> make_description(std::string_view name,
                                                           std::uint32_t version,
                                                           std::tuple<Members...> members,
                                                           std::string_view listed = {}) {
    return {name, version, members, listed};
}

/// Is a struct that `HEPH_MESSAGE` describes.
template <typename T>
concept described = requires(const T* type) { heph_describe_message(type).members; };

/// Gives the description of a struct.
template <described T>
inline constexpr auto description_of = heph_describe_message(static_cast<const T*>(nullptr));

}  // namespace heph::remote

/// Describes a struct: its stable name, its version, and its members in the order on the wire.
///
///     struct note_put {
///         std::string id;
///         std::string body;
///     };
///     HEPH_MESSAGE(note_put, "notes.put", 1, id, body)
///
/// It stands behind the struct, in the struct's namespace. New members are added to the end of the
/// list, with a default: older programs skip them, newer ones use the default for those that an
/// older program did not send. Any other change takes another version, and a type with another
/// version is another type.
///
/// *Requires*: the struct can be made without arguments; at most 64 members, each a `bool`, an
/// integer, `float`, `double`, a scoped enumeration, `std::string`, `std::vector<std::byte>`, a
/// described struct, or a `std::vector`, `std::optional`, `std::map` or `std::variant` of those.
/// Alternatives of a variant have to have distinct names on the wire, where all integers and
/// enumerations are one. An optional of what may be nothing itself is refused, but for one of a
/// reference: with a reference to nothing in it, it arrives empty.
#define HEPH_MESSAGE(type, name, version, ...)                                                 \
    [[maybe_unused]] inline constexpr auto heph_describe_message(const type*) noexcept {       \
        using heph_described [[maybe_unused]] = type;                                          \
        return ::heph::remote::make_description(                                               \
            name, version, ::std::make_tuple(HEPH_REMOTE_MEMBERS(__VA_ARGS__)), #__VA_ARGS__); \
    }

// Expands to `&heph_described::a, &heph_described::b, …`. A macro is not expanded within itself, so
// that the next step is named by HEPH_REMOTE_AGAIN and taken by the next rescan.
#define HEPH_REMOTE_PARENTHESES ()
#define HEPH_REMOTE_RESCAN(...) \
    HEPH_REMOTE_RESCAN_3(       \
        HEPH_REMOTE_RESCAN_3(HEPH_REMOTE_RESCAN_3(HEPH_REMOTE_RESCAN_3(__VA_ARGS__))))
#define HEPH_REMOTE_RESCAN_3(...) \
    HEPH_REMOTE_RESCAN_2(         \
        HEPH_REMOTE_RESCAN_2(HEPH_REMOTE_RESCAN_2(HEPH_REMOTE_RESCAN_2(__VA_ARGS__))))
#define HEPH_REMOTE_RESCAN_2(...) \
    HEPH_REMOTE_RESCAN_1(         \
        HEPH_REMOTE_RESCAN_1(HEPH_REMOTE_RESCAN_1(HEPH_REMOTE_RESCAN_1(__VA_ARGS__))))
#define HEPH_REMOTE_RESCAN_1(...) __VA_ARGS__
#define HEPH_REMOTE_MEMBERS(...) __VA_OPT__(HEPH_REMOTE_RESCAN(HEPH_REMOTE_MEMBER(__VA_ARGS__)))
#define HEPH_REMOTE_MEMBER(member, ...) \
    &heph_described::member __VA_OPT__(, HEPH_REMOTE_AGAIN HEPH_REMOTE_PARENTHESES(__VA_ARGS__))
#define HEPH_REMOTE_AGAIN() HEPH_REMOTE_MEMBER
