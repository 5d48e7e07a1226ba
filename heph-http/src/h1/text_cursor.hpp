#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace heph::http::h1 {

/// Writes texts one behind the other into room that is large enough for all of them, without a look
/// at how much is left for each.
class text_cursor {
public:
    /// So much room a number takes.
    static constexpr std::size_t number_bytes_max = 20;

    explicit text_cursor(char* room) noexcept : at_(room) {}

    void put(std::string_view text) noexcept {
        // A text without bytes may have no place either.
        if (!text.empty()) { std::memcpy(at_, text.data(), text.size()); }
        at_ += text.size();
    }
    void put_number(std::uint64_t value) noexcept {
        at_ = std::to_chars(at_, at_ + number_bytes_max, value).ptr;
    }
    /// Gives where the next text would go.
    [[nodiscard]] const char* at() const noexcept { return at_; }

private:
    char* at_;
};

}  // namespace heph::http::h1
