#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace heph::remote::etcd {

/// Takes a stream apart into lines. Where the pieces end in which it comes means nothing.
class line_splitter {
public:
    explicit line_splitter(std::size_t line_bytes_max) noexcept : line_bytes_max_(line_bytes_max) {}

    /// Adds what came. False when a line is longer than is taken; then nothing more is given.
    [[nodiscard]] bool feed(std::string_view bytes) {
        held_.erase(0, begin_);
        whole_ -= begin_;
        begin_ = 0;
        const auto last = bytes.rfind('\n');
        if (last != std::string_view::npos) { whole_ = held_.size() + last + 1; }
        held_ += bytes;
        return held_.size() - whole_ <= line_bytes_max_;
    }

    /// Gives the next line without its end, as long as there is a whole one; empty ones are left
    /// out. *Lifetime*: until the next call of `feed`.
    [[nodiscard]] std::optional<std::string_view> next() noexcept {
        while (begin_ < whole_) {
            const auto end = held_.find('\n', begin_);
            const auto line = trimmed(std::string_view(held_).substr(begin_, end - begin_));
            begin_ = end + 1;
            if (!line.empty()) { return line; }
        }
        return std::nullopt;
    }

    /// Gives what is left when the stream has ended, which may be a line without an end.
    [[nodiscard]] std::optional<std::string_view> last() noexcept {
        const auto line = trimmed(std::string_view(held_).substr(begin_));
        begin_ = whole_ = held_.size();
        return line.empty() ? std::nullopt : std::optional(line);
    }

private:
    static std::string_view trimmed(std::string_view line) noexcept {
        if (line.ends_with('\r')) { line.remove_suffix(1); }
        return line;
    }

    std::string held_;
    std::size_t begin_ = 0;  // What lies before it was given.
    std::size_t whole_ = 0;  // Where the last whole line ends; at least `begin_`.
    std::size_t line_bytes_max_;
};

}  // namespace heph::remote::etcd
