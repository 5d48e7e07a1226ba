#pragma once

// JSON (RFC 8259), in memory, as far as etcd's gateway needs it, bounded in depth and in the number
// of values.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heph::remote::etcd {

/// Is a value that was read. What is absent reads like a null, so that defaults can be left out.
class json_value {
public:
    enum class kind : std::uint8_t { null, boolean, number, string, array, object };

    /// Reads a text that is one value. Nothing for what is malformed, nested deeper than
    /// `depth_max`, or has more than `values_max` values. Of members of one name, the first counts.
    [[nodiscard]] static std::optional<json_value> parse(std::string_view text);
    static constexpr std::size_t depth_max = 16;
    static constexpr std::size_t values_max = std::size_t{1} << 18U;

    [[nodiscard]] kind type() const noexcept { return kind_; }
    [[nodiscard]] bool is_null() const noexcept { return kind_ == kind::null; }
    [[nodiscard]] bool is_object() const noexcept { return kind_ == kind::object; }

    /// Gives a member; a null when it is absent, or this is no object.
    [[nodiscard]] const json_value& operator[](std::string_view name) const noexcept;
    /// Gives the elements of an array; none of anything else.
    [[nodiscard]] const std::vector<json_value>& items() const noexcept;
    /// Gives a string's characters, a number's digits; nothing of anything else.
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    [[nodiscard]] bool is_true() const noexcept { return kind_ == kind::boolean && text_ == "t"; }

    /// Gives a 64-bit integer, written as a number or as a string of one. A null is 0, as proto3's
    /// JSON leaves that out. Nothing for anything else.
    [[nodiscard]] std::optional<std::int64_t> int64() const noexcept;
    [[nodiscard]] std::optional<std::uint64_t> uint64() const noexcept;

private:
    friend class json_builder;

    kind kind_ = kind::null;
    std::string text_;
    std::vector<json_value> items_;   // Of an array, or the members of an object.
    std::vector<std::string> names_;  // Of the members.
};

}  // namespace heph::remote::etcd
