#pragma once

#include <cstdint>
#include <string_view>

namespace heph::http::ws {

/// Tells bit by bit whether a text is UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing
/// beyond U+10FFFF. What is wrong is found with the first byte that cannot be right.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
class utf8_validator {
public:
    /// Takes the next bytes. Gives false when no continuation can make the text UTF-8; it may not
    /// be used further then.
    [[nodiscard]] bool feed(std::string_view bytes) noexcept;
    /// Tells whether the text may end here, that is, not within a character.
    [[nodiscard]] bool is_complete() const noexcept { return left_ == 0; }
    /// Begins a new text.
    void reset() noexcept { left_ = 0; }

private:
    std::uint8_t left_ = 0;  // Bytes of the character that are to come.
    std::uint8_t low_ = 0;   // Between these is the next of them.
    std::uint8_t high_ = 0;
};

}  // namespace heph::http::ws
