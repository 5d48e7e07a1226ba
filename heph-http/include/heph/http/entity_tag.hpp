#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <heph/http/field_value.hpp>

namespace heph::http {

/// Names one version of a representation (RFC 9110, 8.8.3): `"abc"`, or weakly `W/"abc"`.
///
/// A strong one changes with every byte; a weak one may stay the same when the difference does not
/// matter. Ranges of a representation need a strong one.
class entity_tag {
public:
    /// Makes a tag, without quotes. Gives nothing when `opaque` has a byte that no tag may have:
    /// quotes, blanks, control characters.
    [[nodiscard]] static std::optional<entity_tag> make(std::string_view opaque, bool weak = false);

    /// Makes a strong tag from content: the same bytes give the same tag in every process.
    [[nodiscard]] static entity_tag of_content(std::string_view content);

    /// Reads a tag as it stands in a header, without blanks around it. Gives nothing for other
    /// text.
    [[nodiscard]] static std::optional<entity_tag> parse(std::string_view text);

    /// Gives the tag as it stands in a header.
    [[nodiscard]] std::string to_string() const;

    [[nodiscard]] std::string_view opaque() const noexcept { return opaque_; }
    [[nodiscard]] bool is_weak() const noexcept { return weak_; }

    /// Tells whether both are strong and equal (RFC 9110, 8.8.3.2).
    [[nodiscard]] bool matches_strongly(const entity_tag& other) const noexcept {
        return !weak_ && !other.weak_ && opaque_ == other.opaque_;
    }
    /// Tells whether both are equal, weak or not.
    [[nodiscard]] bool matches_weakly(const entity_tag& other) const noexcept {
        return opaque_ == other.opaque_;
    }

    bool operator==(const entity_tag&) const noexcept = default;

private:
    entity_tag(std::string opaque, bool weak) noexcept : opaque_(std::move(opaque)), weak_(weak) {}

    std::string opaque_;
    bool weak_;
};

/// Takes the first tag off a list such as `"a", W/"b"`, and what separates it from the next one.
/// Gives nothing at the end of the list, and at the first thing that is no tag.
[[nodiscard]] std::optional<entity_tag> next_entity_tag(std::string_view& list);

/// A tag, as of `ETag`. `If-None-Match` and its like are lists, or `*`: see `conditional.hpp`.
template <>
struct field_value<entity_tag> {
    static std::expected<entity_tag, field_error> parse(std::string_view text) {
        auto tag = entity_tag::parse(text);
        if (!tag) { return std::unexpected(field_error::malformed); }
        return *std::move(tag);
    }
};

}  // namespace heph::http
